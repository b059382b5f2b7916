"""`pswd-edge audit list | verify`: what the gateway was asked, did and refused, read from its files."""

import argparse
from collections.abc import Iterator
from heapq import merge
from pathlib import Path
from typing import Any

import msgspec

from pswd_edge.chain.chain import Body
from pswd_edge.chain.chain_check import check_chain, read_entries
from pswd_edge.clock import iso_utc
from pswd_edge.commands.moment import utc_of
from pswd_edge.errors import PswdError
from pswd_edge.gateway.audit_file import COMMANDS, FOLDER, REFUSALS

_CHAINS = {"commands": (COMMANDS,), "refusals": (REFUSALS,), "all": (COMMANDS, REFUSALS)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("action", choices=["list", "verify"], help="show the entries, or check the chains of hashes")
    parser.add_argument("--state-dir", type=Path, default=Path("/var/lib/pswd-edge-gateway"),
                        help="the gateway's state folder")
    parser.add_argument("--since", default="-1h", help="list: from this time on (ISO, HH:MM or -5m)")
    parser.add_argument("--origin", default="", help="list: of one client alone, as api:alice or address:10.0.4.11")
    parser.add_argument("--only", choices=sorted(_CHAINS), default="all", help="what was done, or what was refused")
    parser.add_argument("--json", action="store_true", help="as JSON, one object a line")


def run(options: argparse.Namespace) -> int:
    """verify: 0 where the chains are whole, 1 where one breaks."""
    folder = options.state_dir / FOLDER
    try:
        if not folder.is_dir():
            raise PswdError(f"{folder}: there is no audit; has the gateway run with this state folder?")
        return _verify(folder, options) if options.action == "verify" else _list(folder, options)
    except OSError as error:
        raise PswdError(f"{folder}: cannot be read ({error}); run as the user of the gateway") from error


def _verify(folder: Path, options: argparse.Namespace) -> int:
    faults = 0
    for name in _CHAINS[options.only]:
        found = check_chain(folder / name)
        faults += len(found.faults)
        if options.json:
            print(msgspec.json.encode({"chain": name, **found._asdict()}).decode())
            continue
        for fault in found.faults:
            print(f"BROKEN {name}: {fault}")
        pruned = f"; segments up to {found.pruned_through} were pruned" if found.pruned_through else ""
        state = f"{len(found.faults)} faults" if found.faults else "whole"
        print(f"{name}: {found.entries} entries in {found.segments} segments: {state}{pruned}")
    return 1 if faults else 0


def _list(folder: Path, options: argparse.Namespace) -> int:
    since_s = utc_of(options.since)
    chains = [_entries(folder / name, since_s, options.origin) for name in _CHAINS[options.only]]
    for body in merge(*chains, key=lambda entry: float(entry["utc_s"])):
        print(msgspec.json.encode(body).decode() if options.json else line(body))
    return 0


def _entries(folder: Path, since_s: float, origin: str) -> Iterator[Body]:
    return (body for body in read_entries(folder, since_s) if not origin or body.get("origin") == origin)


def line(body: Body) -> str:
    """An entry for people. What came from outside is shown escaped: it cannot move the cursor."""
    who, what = _shown(body.get("origin", "gateway")), " ".join(
        _shown(body[name]) for name in ("method", "path", "subject") if body.get(name))
    end = " ".join(_shown(body[name]) for name in ("status", "code") if body.get(name))
    times = f" {body['count']} times" if "count" in body else ""
    change = "".join(f"  {name} {msgspec.json.encode(body[name]).decode()}" for name in ("before", "after")
                     if name in body)
    return f"{iso_utc(body['utc_s'])}  {body['kind']:<8}  {who}  {what} {end}{times}{change}".rstrip()


def _shown(found: Any) -> str:
    return str(found).encode("unicode_escape").decode("ascii")
