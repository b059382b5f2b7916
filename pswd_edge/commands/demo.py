"""`pswd-edge demo`: the simulated campus under control, from one command."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from pswd_edge.app import rows_dir
from pswd_edge.commands.campus import Rig, running_site, until_auto
from pswd_edge.commands.demo_result import Result, result_of
from pswd_edge.commands.demo_table import Screen
from pswd_edge.errors import ImageError
from pswd_edge.log import configure_log

_LOOK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--seconds", type=float, default=0.0, help="end by itself after so long; 0: until Ctrl-C")
    parser.add_argument("--seed", type=int, default=1, help="moves the events of the scenario by up to 2 s")
    parser.add_argument("--folder", type=Path, default=Path("var/demo"), help="secrets, users, ledger, logs")
    parser.add_argument("--site", type=Path, default=Path("config/demo.yaml"))
    parser.add_argument("--http-port", type=int, default=int(os.environ.get("PSWD_HTTP_PORT", "8080")))
    parser.add_argument("--https-port", type=int, default=int(os.environ.get("PSWD_HTTPS_PORT", "8443")))
    parser.add_argument("--quiet", action="store_true", help="no live table")


def run(options: argparse.Namespace) -> int:
    """0 where every limit held; the last line printed is the summary as JSON."""
    configure_log("error")
    found = asyncio.run(_demo(options))
    for line in found.broken:
        print(line, file=sys.stderr)
    print(json.dumps(found.summary), flush=True)
    return 0 if found.summary["ok"] else 1


async def _demo(options: argparse.Namespace) -> Result:
    stop = asyncio.Event()
    words = ["--seed", str(options.seed), "--scenario", "demo"]
    async with running_site(options.site, options.folder, options.http_port, words,
                            https_port=options.https_port) as rig:
        _stop_on_signals(stop)  # after the supervisor has set its own
        await until_auto(rig, stop)
        started_s = time.monotonic()
        await rig.simulators.ask("start", True)
        await _watch(Screen(rig, options.http_port, quiet=options.quiet), rig, started_s, options.seconds, stop)
        truth = await rig.simulators.ask("summary", True)
        rows = rows_dir(Path(rig.site.runtime_dir))
        return result_of(rig.site, rig.image, rows, truth, time.monotonic() - started_s)


def _stop_on_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _watch(screen: Screen, rig: Rig, started_s: float, seconds: float, stop: asyncio.Event) -> None:
    with screen:
        while not stop.is_set() and (not seconds or time.monotonic() - started_s < seconds):
            with contextlib.suppress(ImageError):
                rig.image.follow()
                screen.show(rig.image, time.monotonic() - started_s)
            left_s = seconds - (time.monotonic() - started_s) if seconds else _LOOK_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, min(_LOOK_S, left_s)))
