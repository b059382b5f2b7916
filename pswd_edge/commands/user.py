"""`pswd-edge user`: the gateway's users."""

import argparse
import getpass
import sys
from pathlib import Path

from pswd_edge.gateway.users import add_user


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("action", choices=["add"])
    parser.add_argument("name")
    parser.add_argument("--role", action="append", required=True, help="may be given more than once")
    parser.add_argument("--state-dir", type=Path, default=Path("/var/lib/pswd-edge-gateway"))
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


def run(options: argparse.Namespace) -> int:
    """0 where the user was added."""
    password = sys.stdin.readline().rstrip("\n") if options.password_stdin else getpass.getpass("Password: ")
    add_user(options.state_dir, options.name, password, options.role)
    print(f"{options.name}: added with {', '.join(options.role)}")
    return 0
