"""`pswd-edge simulate`: the simulated devices of a site alone, for drivers and scripts to be tried against."""

import argparse
import os
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything is passed on to `python -m simulators`."""
    parser.add_argument("words", nargs=argparse.REMAINDER, help="arguments of `python -m simulators`, see its --help")


def run(options: argparse.Namespace) -> int:
    """Becomes the simulator process."""
    os.execv(sys.executable, [sys.executable, "-m", "simulators", *options.words])  # noqa: S606  # our own module
