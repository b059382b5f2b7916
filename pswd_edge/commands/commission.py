"""`pswd-edge commission DEVICE`: show each actuated point, try it with control running, and have it written down."""

import argparse
import asyncio
import getpass
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pswd_edge.commands.commission_card import Card, cards_of
from pswd_edge.commands.running import add_runtime_dir
from pswd_edge.commands.status import ALIVE_S, runtime_dir
from pswd_edge.door import OPERATOR_SOCKET, DoorClient
from pswd_edge.errors import DoorError, ImageError, PswdError
from pswd_edge.image import ImageReader
from pswd_edge.model.command import Accepted, Commission, Mode, Outcome

TRIAL_S = 120.0               # the longest trial of a point that may be written at any time
_START = "start it with: systemctl start pswd-edge-control (or pswd-edge run control --site SITE), then ask again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("device", help="device id, or the id of one of its points")
    parser.add_argument("--yes", action="store_true", help="do not ask before each point")
    parser.add_argument("--operate", action="store_true", help="switch what is only selected otherwise, and back")
    parser.add_argument("--clear", action="store_true", help="let latched operations be tried again; tries nothing")
    parser.add_argument("--show", action="store_true", help="show the points, try nothing")
    parser.add_argument("--percent", type=float, default=1.0, help="move of a set-point, %% of its range, at most 1")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text; needs --yes or --show")
    add_runtime_dir(parser)


def run(options: argparse.Namespace) -> int:
    """0 where every point that was asked for is commissioned, 1 where one is not, 2 where the input is wrong."""
    if options.json and not (options.yes or options.show):
        print("--json: got no --yes: expected --yes or --show, as nobody can be asked; nothing was tried")
        return 2
    if not 0 < options.percent <= 1:
        print(f"--percent: got {options.percent:g}: expected more than 0, at most 1; nothing was tried")
        return 2
    with _opened(runtime_dir(options)) as image:
        cards = cards_of(image, options.device)
        if not cards:
            raise PswdError(f"{options.device}: no such device, or it has no point that can be written; there are: "
                            f"{', '.join(_writable(image))}")
        return asyncio.run(_all(options, image, cards))


def _opened(folder: Path) -> ImageReader:
    """The image of a running control process. Raises PswdError where there is none."""
    try:
        image = ImageReader(folder)
    except ImageError as error:
        raise PswdError(f"control is not running ({error}); {_START}") from error
    silent_s = time.monotonic() - image.beat_s
    if silent_s > ALIVE_S:
        raise PswdError(f"control is not running (silent for {silent_s:.0f} s); {_START}")
    return image


def _writable(image: ImageReader) -> Iterator[str]:
    site = image.site
    yield from dict.fromkeys(site.devices[p.device].id for p in site.points if p.write is not None)


async def _all(options: argparse.Namespace, image: ImageReader, cards: list[Card]) -> int:
    if not (options.show or options.clear):
        _check_mode(image)
    client = DoorClient(runtime_dir(options) / OPERATOR_SOCKET)
    told, good = [], True
    try:
        for card in cards:
            if not options.json:
                print("\n".join(card.lines()))
            outcome = None
            if options.clear or (not options.show and (options.yes or _agreed(card, options.operate))):
                outcome = await _ask(client, card, options)
                good = good and isinstance(outcome, Accepted)
            elif not options.show:
                good = False
            told.append({**card.facts(), "outcome": None if outcome is None else _fields(outcome)})
            if outcome is not None and not options.json:
                print(f"  {type(outcome).__name__}: {outcome.reason}")
    finally:
        client.close()
    if options.json:
        print(msgspec.json.encode({"device": options.device, "points": told}).decode())
    return 0 if good else 1


def _check_mode(image: ImageReader) -> None:
    report = image.report()
    if report is not None and report.mode not in (Mode.OBSERVE, Mode.MANUAL):
        raise PswdError(f"mode is {report.mode.value}: expected OBSERVE or MANUAL; order it with "
                        "pswd-edge mode OBSERVE")


def _fields(outcome: Outcome) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(outcome)
    return found


def _agreed(card: Card, operate: bool) -> bool:
    if not sys.stdin.isatty():
        raise PswdError("there is nobody to ask: expected a terminal, or --yes; nothing was tried")
    return input(f"  {card.plan(operate=operate)} - go on? [y/N] ").strip().lower() in ("y", "yes")


async def _ask(client: DoorClient, card: Card, options: argparse.Namespace) -> Outcome:
    action = "clear" if options.clear else card.action(operate=options.operate)
    request = Commission(id=f"commission-{uuid.uuid4()}", origin=f"operator:{getpass.getuser()}", role="operator",
                         issued_utc_s=time.time(), point=card.point.id, action=action, percent=options.percent)
    rule = card.point.write
    pauses_s = 0.0 if rule is None else 4 * rule.min_interval_s + rule.effect_s + rule.confirm_s
    try:
        return await client.ask(request, TRIAL_S + pauses_s)
    except DoorError as error:
        raise DoorError(f"{error}; is control running, and are you its user? {_START}") from error
