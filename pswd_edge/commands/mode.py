"""`pswd-edge mode MODE`: the operator's word, through the operator's socket."""

import argparse
import asyncio
import getpass
import time
import uuid

from pswd_edge.commands.running import add_runtime_dir
from pswd_edge.commands.status import runtime_dir
from pswd_edge.door import OPERATOR_SOCKET, DoorClient
from pswd_edge.model.command import Accepted, Clamped, Mode, Outcome, SetBatteryTarget, SetMode

_NEXT_CYCLE_S = 0.5           # the mode holds from the next cycle on; the battery power is judged in it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("mode", type=str.upper, choices=[m.value for m in Mode])
    add_runtime_dir(parser)
    parser.add_argument("--battery-w", type=float, help="MANUAL: power of the batteries together, discharge positive")
    parser.add_argument("--seconds", type=float, default=900.0, help="MANUAL: how long that power holds, at most 900")


def run(options: argparse.Namespace) -> int:
    """0 where control took it."""
    mode = Mode(options.mode)
    if options.battery_w is not None and mode is not Mode.MANUAL:
        print(f"--battery-w: got mode {mode.value}: expected MANUAL; nothing was asked")
        return 2
    return asyncio.run(_order(options, mode))


async def _order(options: argparse.Namespace, mode: Mode) -> int:
    client = DoorClient(runtime_dir(options) / OPERATOR_SOCKET)
    origin = f"operator:{getpass.getuser()}"
    order = SetMode(id=_new_id(), origin=origin, role="operator", issued_utc_s=time.time(), mode=mode)
    taken = _told(await client.ask(order))
    if taken and options.battery_w is not None:
        await asyncio.sleep(_NEXT_CYCLE_S)
        taken = _told(await client.ask(SetBatteryTarget(
            id=_new_id(), origin=origin, role="operator", issued_utc_s=time.time(), ttl_s=options.seconds,
            power_w=options.battery_w)))
    client.close()
    return 0 if taken else 1


def _new_id() -> str:
    return f"operator-{uuid.uuid4()}"


def _told(outcome: Outcome) -> bool:
    limit = f" (limit: {outcome.limit})" if outcome.limit else ""
    print(f"{type(outcome).__name__}{limit}: {outcome.reason}")
    return isinstance(outcome, Accepted | Clamped)
