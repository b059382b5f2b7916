"""`pswd-edge reload`: the changed site file, taken up while control runs."""

import argparse
import asyncio
import getpass
import time
import uuid

from pswd_edge.commands.running import add_runtime_dir
from pswd_edge.commands.status import runtime_dir
from pswd_edge.door import OPERATOR_SOCKET, DoorClient
from pswd_edge.model.command import Accepted, Reload

_PATIENCE_S = 90.0            # a large site takes a while to compile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    add_runtime_dir(parser)


def run(options: argparse.Namespace) -> int:
    """0 where the file is in force, 1 where nothing was changed."""
    return asyncio.run(_ask(options))


async def _ask(options: argparse.Namespace) -> int:
    client = DoorClient(runtime_dir(options) / OPERATOR_SOCKET)
    outcome = await client.ask(Reload(id=f"operator-{uuid.uuid4()}", origin=f"operator:{getpass.getuser()}",
                                      role="operator", issued_utc_s=time.time()), _PATIENCE_S)
    client.close()
    print(outcome.reason)
    if not isinstance(outcome, Accepted):
        print("nothing was changed; the former site is in force")
        return 1
    print("in force; watched for ten seconds: where what was well fails, the former site comes back (see the events)")
    return 0
