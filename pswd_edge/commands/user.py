"""`pswd-edge user`: the gateway's users."""

import argparse
import getpass
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from pswd_edge.commands.table import table
from pswd_edge.errors import ConfigError
from pswd_edge.gateway.users import UserStore

EPILOG = """examples:
  pswd-edge user add alice --role infrastructure_manager     asks for the password
  pswd-edge user list
  pswd-edge user passwd alice                                ends alice's tokens
  pswd-edge user role alice --role grid_operator             these roles in place of the old ones
  pswd-edge user disable alice                               until: user enable alice
  pswd-edge user remove alice"""
_ROLES = {"add", "role"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("action", choices=["add", "list", "remove", "passwd", "role", "disable", "enable"])
    parser.add_argument("name", nargs="?", help="whom; not for `list`")
    parser.add_argument("--role", action="append", default=[], help="may be given more than once")
    parser.add_argument("--state-dir", type=Path, default=Path("/var/lib/pswd-edge-gateway"))
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    parser.add_argument("--json", action="store_true", help="`list`: one JSON object")


def run(options: argparse.Namespace) -> int:
    """0 where it was done; a running gateway notices by itself."""
    _check(options)
    store = UserStore(options.state_dir)
    if options.action == "list":
        print(_listed(store, as_json=options.json))
        return 0
    print(f"{options.name}: {_done(store, options)}")
    return 0


def _done(store: UserStore, options: argparse.Namespace) -> str:
    name: str = options.name
    match options.action:
        case "add":
            store.add(name, _password(options), options.role)
            return f"added with {', '.join(options.role)}"
        case "remove":
            store.remove(name)
            return "removed; its tokens have ended"
        case "passwd":
            store.set_password(name, _password(options))
            return "has a new password; its tokens have ended"
        case "role":
            store.set_roles(name, options.role)
            return f"has {', '.join(options.role)} now"
        case action:
            store.set_disabled(name, disabled=action == "disable")
            return "disabled; its tokens are worthless" if action == "disable" else "may log in again"


def _check(options: argparse.Namespace) -> None:
    problems = []
    if (options.name is None) is not (options.action == "list"):
        problems.append(f"user {options.action}: got {options.name or 'no name'}: expected "
                        f"{'no name' if options.action == 'list' else 'the name of a user'}")
    if options.role and options.action not in _ROLES:
        problems.append(f"user {options.action}: got --role: expected it with {' or '.join(sorted(_ROLES))} alone")
    if problems:
        raise ConfigError(problems)


def _password(options: argparse.Namespace) -> str:
    return sys.stdin.readline().rstrip("\n") if options.password_stdin else getpass.getpass("Password: ")


def _listed(store: UserStore, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"users": [{"name": name, "roles": user.roles, "disabled": user.disabled}
                                     for name, user in store.all().items()]})
    return table(("user", "roles", "state"), list(_rows(store)))


def _rows(store: UserStore) -> Iterator[tuple[str, str, str]]:
    for name, user in store.all().items():
        yield name, ", ".join(user.roles), "disabled" if user.disabled else "enabled"
