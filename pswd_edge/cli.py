"""The `pswd-edge` command: one sub-command a module in `commands/`, imported when it is asked for."""

import argparse
import importlib
import re
import sys
from typing import NamedTuple

from pswd_edge.errors import ConfigError, PswdError


class Command(NamedTuple):
    """A sub-command: its module in `commands/` and one line of help."""

    module: str
    text: str


COMMANDS = {
    "run": Command("run", "run the control process, the gateway, or both under the supervisor"),
    "status": Command("status", "what control does now: mode, powers, batteries, devices, alarms"),
    "alarms": Command("alarms", "list the alarms; acknowledge or shelve one"),
    "mode": Command("mode", "change the mode: OBSERVE, AUTO, MANUAL or SAFE"),
    "limit": Command("limit", "keep a limit of the site tighter for a while, or list those in force"),
    "reload": Command("reload", "take up the changed site file while control runs"),
    "commission": Command("commission", "try a device's actuated points, and write down that they work"),
    "check": Command("check", "list every mistake of a site file and its device maps"),
    "read": Command("read", "values with quality and age, from a running control or fresh from the devices"),
    "write": Command("write", "hold a writable point at a value, through control, and see it acknowledged"),
    "probe": Command("probe", "find out how a register, node or object is to be read"),
    "scan": Command("scan", "find the devices of a network, and draft a site and device maps"),
    "plan": Command("plan", "show points -> requests, and how long a scan takes at worst"),
    "demo": Command("demo", "run the simulated campus under control, with a live table"),
    "simulate": Command("simulate", "run the simulated devices alone"),
    "explain": Command("explain", "why a set-point is what it is, now or at a time that has passed"),
    "ledger": Command("ledger", "what was asked and decided: list it, verify its chain of hashes"),
    "audit": Command("audit", "what the gateway was asked, did and refused: list it, verify its chains"),
    "export": Command("export", "ramps of the grid's power for the utility, signed; and its verification"),
    "record": Command("record", "record what the rules see, to be decided again by `replay`"),
    "replay": Command("replay", "the rules over a load or a scenario on virtual time, scored"),
    "bench": Command("bench", "measure: polling beside a bare loop, event to command, API answers"),
    "user": Command("user", "the gateway's users: add, list, remove, change"),
    "token": Command("token", "API keys, DCPI clients' tokens, and the key that signs: create, list, revoke, rotate"),
    "cert": Command("cert", "certificates for TLS and DCPI clients, and which client each stands for"),
    "schema": Command("schema", "write the JSON Schemas of the site and device-map files"),
}
_AGO = re.compile(r"-\d+(\.\d+)?(s|m|min|h)")
PASS_ON = {"simulate"}        # commands that hand their arguments to another program


def main(arguments: list[str] | None = None) -> int:
    """Run a sub-command; returns its exit status: 0 done, 1 failed, 2 wrong input."""
    parser = argparse.ArgumentParser(prog="pswd-edge", description="Site gateway of an AI data centre.")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    words = _with_times(sys.argv[1:] if arguments is None else arguments)
    asked = words[0] if words else ""
    for name, command in COMMANDS.items():
        sub = choices.add_parser(name, help=command.text, description=command.text)
        if name == asked:
            importlib.import_module(f"pswd_edge.commands.{command.module}").add_arguments(sub)
    options, rest = parser.parse_known_args(words)
    options.rest = rest
    if rest and options.command not in PASS_ON:
        parser.error(f"{options.command}: got {' '.join(rest)}: no such arguments; see --help")
    module = importlib.import_module(f"pswd_edge.commands.{COMMANDS[options.command].module}")
    try:
        return int(module.run(options))
    except ConfigError as error:
        print("\n".join(error.problems), file=sys.stderr)
        print(f"{len(error.problems)} mistakes; nothing was started", file=sys.stderr)
        return 2
    except PswdError as error:
        print(f"pswd-edge {options.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader (head, less) has seen enough; Python would say so once more at its end
        return 0
    except KeyboardInterrupt:
        return 130


def _with_times(words: list[str]) -> list[str]:
    """`--at -5m` as `--at=-5m`: argparse takes every word that begins with a dash for an option."""
    found: list[str] = []
    for word in words:
        if found and found[-1].startswith("--") and "=" not in found[-1] and _AGO.fullmatch(word):
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found
