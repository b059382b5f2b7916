"""`pswd-edge ledger verify | list`: the record of what was asked and decided, read from its files."""

import argparse
from pathlib import Path
from typing import Any

import msgspec

from pswd_edge.chain.chain_check import check_chain, read_entries
from pswd_edge.clock import iso_utc
from pswd_edge.commands.moment import utc_of
from pswd_edge.commands.running import add_runtime_dir
from pswd_edge.commands.sentences import headline
from pswd_edge.errors import PswdError
from pswd_edge.image import ImageReader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("action", choices=["verify", "list"], help="check the chain of hashes, or show the entries")
    add_folders(parser)
    parser.add_argument("--from", dest="begin", default="-1h", help="list: from this time on (ISO, HH:MM or -5m)")
    parser.add_argument("--json", action="store_true", help="as JSON, one object a line where entries are listed")


def add_folders(parser: argparse.ArgumentParser) -> None:
    """Where a site's state lies: named, or as the running site says."""
    add_runtime_dir(parser)
    parser.add_argument("--state-dir", type=Path, help="the site's state folder; without it the running site's")


def state_dir(options: argparse.Namespace) -> Path:
    """The state folder. Raises ImageError where none is named and no image says it."""
    if options.state_dir is not None:
        return Path(options.state_dir)
    with ImageReader(options.runtime_dir) as image:
        return Path(image.site.state_dir)


def run(options: argparse.Namespace) -> int:
    """verify: 0 where the chain is whole, 1 where it breaks."""
    folder = state_dir(options) / "ledger"
    try:
        return _verify(folder, options.json) if options.action == "verify" else _list(folder, options)
    except OSError as error:
        raise PswdError(f"{folder}: cannot be read ({error}); run as the user of the control process") from error


def _verify(folder: Path, as_json: bool) -> int:
    found = check_chain(folder)
    if as_json:
        print(msgspec.json.encode(found._asdict()).decode())
        return 1 if found.faults else 0
    for fault in found.faults:
        print(f"BROKEN {fault}")
    if found.tail:
        print(f"note: {found.tail}")
    pruned = f"; segments up to {found.pruned_through} were pruned" if found.pruned_through else ""
    state = f"{len(found.faults)} faults" if found.faults else "whole"
    print(f"{folder}: {found.entries} entries in {found.segments} segments: {state}{pruned}")
    print(f"last hash {found.last_hash}")
    return 1 if found.faults else 0


def _list(folder: Path, options: argparse.Namespace) -> int:
    for body in read_entries(folder, utc_of(options.begin)):
        print(msgspec.json.encode(body).decode() if options.json else _line(body))
    return 0


def _line(body: dict[str, Any]) -> str:
    return f"{iso_utc(body['utc_s'])}  {body['number']:>7}  {headline(body)}"
