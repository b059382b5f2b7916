"""`python -m simulators --site config/demo.yaml`: a campus in its own process, until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from pswd_edge.config.endpoint_checks import is_loopback
from pswd_edge.config.load import load_site
from pswd_edge.config.secrets import resolve_secret
from pswd_edge.errors import ConfigError, SecretError
from pswd_edge.model.site import Site
from simulators.campus import Campus
from simulators.grid_operator import GridOperator
from simulators.plant import Plant, PlantSpec
from simulators.scenario import calm_scenario, demo_scenario


def main() -> int:
    """Entry point; 2 where the site or an option is wrong."""
    options = _parser().parse_args()
    logging.getLogger("asyncua").setLevel(logging.ERROR)    # it warns of the missing security at every start
    try:
        campus, operator = _build(options)
    except (ConfigError, SecretError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - command line
        return 2
    uvloop.run(_serve(campus, operator))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulators", description="the simulated campus of a site file")
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--control", type=Path, help="Unix socket of the control channel")
    parser.add_argument("--scenario", choices=("demo", "none"), default="none")
    parser.add_argument("--preroll", type=float, default=60.0, metavar="SECONDS", help="virtual time before the start")
    parser.add_argument("--noise", type=float, default=1.0, help="0 makes all loads flat")
    parser.add_argument("--refresh", action="append", default=[], metavar="DEVICE=MS", type=_pair)
    parser.add_argument("--port", action="append", default=[], metavar="CONNECTION=PORT", type=_pair)
    return parser


def _pair(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isdigit():
        raise argparse.ArgumentTypeError(f"got {text!r}, expected NAME=NUMBER")
    return name, int(number)


def _build(options: argparse.Namespace) -> tuple[Campus, GridOperator | None]:
    site = load_site(options.site, os.environ)
    operator = _operator(site)
    campus = Campus(
        site,
        options.seed,
        ports=dict(options.port),
        refresh_ms=dict(options.refresh),
        plant=Plant(PlantSpec(noise_scale=options.noise), options.seed),
        scenario=demo_scenario(options.seed) if options.scenario == "demo" else calm_scenario(),
        control=options.control,
        commands=operator.commands() if operator else None,
    )
    campus.preroll(options.preroll)
    return campus, operator


def _operator(site: Site) -> GridOperator | None:
    """The grid operator where the site's is on this machine; heat network and operator share its port and token."""
    endpoint = site.grid_endpoint
    parts = urlsplit(endpoint.url) if endpoint else None
    if endpoint is None or parts is None or parts.port is None or not is_loopback(parts.hostname or ""):
        return None
    return GridOperator(resolve_secret(endpoint.secret), parts.port)


async def _serve(campus: Campus, operator: GridOperator | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with campus, operator or contextlib.nullcontext():
        gc.collect()
        gc.freeze()    # address spaces and MIBs: a hundred thousand objects that no collection needs to visit
        ports = " ".join(f"{name}={port}" for name, port in campus.ports.items())
        print(f"ready {ports}", flush=True)  # noqa: T201 - whoever started this waits for it
        waiting = [asyncio.create_task(stopped.wait()), asyncio.create_task(campus.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()


if __name__ == "__main__":
    sys.exit(main())
