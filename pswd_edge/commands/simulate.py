"""`pswd-edge simulate`: the simulated devices of a site alone, for drivers and scripts to be tried against."""

import argparse
import os
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything is passed on to `python -m simulators`."""
    parser.epilog = "All arguments go to `python -m simulators`; `python -m simulators --help` lists them."


def run(options: argparse.Namespace) -> int:
    """Becomes the simulator process."""
    os.execv(sys.executable, [sys.executable, "-m", "simulators", *options.rest])  # noqa: S606  # our own module
