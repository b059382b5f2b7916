"""`pswd-edge mode MODE`: the operator's word, through the operator's socket."""

import argparse
import asyncio
import getpass
import os
import time
import uuid
from pathlib import Path

from pswd_edge.commands.status import runtime_dir
from pswd_edge.door import OPERATOR_SOCKET, DoorClient
from pswd_edge.model.command import Accepted, Mode, SetMode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("mode", type=str.upper, choices=[m.value for m in Mode])
    parser.add_argument("--runtime-dir", type=Path, default=Path(os.environ.get("PSWD_RUNTIME_DIR", "/run/pswd-edge")))


def run(options: argparse.Namespace) -> int:
    """0 where control took it."""
    request = SetMode(id=f"mode-{uuid.uuid4()}", origin=f"operator:{getpass.getuser()}", role="operator",
                      issued_utc_s=time.time(), mode=Mode(options.mode))
    client = DoorClient(runtime_dir(options) / OPERATOR_SOCKET)
    outcome = asyncio.run(client.ask(request))
    print(f"{type(outcome).__name__}: {outcome.reason}")
    return 0 if isinstance(outcome, Accepted) else 1
