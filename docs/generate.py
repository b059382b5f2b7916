# ruff: noqa: INP001  # a program beside the documents, no part of a package
"""Writes the tables of the documents that come from the code: `python docs/generate.py`.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. Keys, defaults and bounds come from the models, the
commands and the device maps; what they mean stands in `docs/meanings.yaml`. A key without a meaning is an error, and
so is a meaning without a key. `tests/test_docs.py` fails where a document is not as this program would write it.
"""

import argparse
import ast
import contextlib
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from pswd_edge.app import DRIVERS
from pswd_edge.cli import COMMANDS
from pswd_edge.config import control_form, droop_form, map_form, site_form, thermal_form
from pswd_edge.config.form import PATTERN_WORDS
from pswd_edge.config.maps import MAP_FOLDERS, known_maps, load_map
from pswd_edge.config.mistakes import number
from pswd_edge.control.alarm_table import KINDS
from pswd_edge.field.drivers.registry import driver_configs
from pswd_edge.gateway.roles import ALLOWED, DCPI_SCOPES, KEY_SCOPES, Operation
from pswd_edge.model.signal import SIGNALS
from pswd_edge.model.unit import UNITS

DOCS = Path(__file__).parent
ATTACKS = DOCS.parent / "tests" / "gateway" / "attacks"
DOCUMENTS = ("commands.md", "configuration.md", "devices.md", "operations.md", "security.md")
FORMS = {
    name: getattr(module, name)
    for module, names in (
        (site_form, ("SiteFile", "NameForm", "ConnectionForm", "DeviceForm", "CircuitForm", "GridForm",
                     "EndpointForm", "HeatNetworkForm", "ListenerForm", "IdentityForm", "UplinkForm", "TrapsForm",
                     "RecordingForm", "PlannerForm", "RateForm", "ApiLimitsForm")),
        (control_form, ("ControlForm", "InputForm", "LoadRangeForm", "BatteryForm", "LoadControllerForm", "TierForm",
                        "AbsorberForm", "EffectForm", "PredictorForm", "UpsForm", "SupervisorForm")),
        (thermal_form, ("ThermalForm", "CoolerForm", "LeadForm", "InterlockForm", "StepForm", "HeatExportForm")),
        (droop_form, ("DroopForm",)),
        (map_form, ("MapFile", "RowForm", "WriteForm", "Defaults")),
    ) for name in names
}
HEIRS = {
    "ModbusMap": "MapFile", "OpcUaMap": "MapFile", "SnmpMap": "MapFile",
    "ModbusRow": "RowForm", "OpcUaRow": "RowForm", "SnmpRow": "RowForm",
    "ModbusWriteForm": "WriteForm",
    "ModbusDefaults": "Defaults", "OpcUaDefaults": "Defaults", "SnmpDefaults": "Defaults",
}
"""Forms that are shown without the keys of the form that they extend."""
UNIT_OF_SUFFIX = {
    "_w_per_min": "W/min", "_w_per_s": "W/s", "_per_mwh": "per MWh", "_g_per_kwh": "g/kWh", "_wh": "Wh", "_w": "W",
    "_ms": "ms", "_hz": "Hz", "_percent": "%", "_per_s": "SI unit/s", "_s": "s",
}
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`",
          "object": "mapping"}


class Meanings:
    """`docs/meanings.yaml`, with a record of what was asked for and of what was not found."""

    def __init__(self, path: Path) -> None:
        self._found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
        self._used: set[tuple[str, str]] = set()
        self.missing: list[str] = []

    def of(self, section: str, key: str) -> tuple[str, str]:
        """Unit (empty: take it from the name) and meaning."""
        self._used.add((section, key))
        found = self._found.get(section, {}).get(key)
        if not found:
            self.missing.append(f"docs/meanings.yaml: {section}.{key}: no meaning: expected a sentence")
            return "", ""
        if isinstance(found, str):
            return "", found
        unit, meaning = found
        return str(unit), str(meaning)

    def problems(self) -> list[str]:
        """What is missing, and what is there for nothing."""
        here = {(section, key) for section, keys in self._found.items() for key in keys}
        stale = [f"docs/meanings.yaml: {s}.{k}: nothing has this name" for s, k in sorted(here - self._used)]
        return self.missing + stale


def rendered(name: str, text: str, meanings: Meanings) -> str:
    """A document's text with its tables made anew."""
    def table(found: re.Match[str]) -> str:
        return found[1] + "\n".join(_table(found[2], name, meanings)) + "\n" + found[3]

    return _TABLE.sub(table, text)


def _table(name: str, document: str, meanings: Meanings) -> list[str]:
    makers: dict[str, Callable[[Meanings], list[str]]] = {
        "commands": _commands, "options": _options, "devices": _devices, "signals": _signals, "units": _units,
        "alarms": _alarms, "roles": _roles, "scopes": _scopes, "attacks": _attacks}
    if name in makers:
        return makers[name](meanings)
    if name in FORMS:
        return _form(name, FORMS[name], set(), meanings)
    if name in HEIRS:
        return _form(name, getattr(map_form, name), set(_properties(FORMS[HEIRS[name]])), meanings)
    configs = {f"{driver}_connection": config for driver, config in driver_configs(DRIVERS).items()}
    if name in configs:
        return _form(name, configs[name], set(), meanings)
    raise SystemExit(f"{document}: table {name!r}: expected one of {', '.join([*makers, *FORMS, *HEIRS, *configs])}")


# --- keys of files ----------------------------------------------------------------------------------------------------


def _properties(form: type[BaseModel]) -> dict[str, Any]:
    found: dict[str, Any] = form.model_json_schema()["properties"]
    return found


def _form(section: str, form: type[BaseModel], hidden: set[str], meanings: Meanings) -> list[str]:
    required = form.model_json_schema().get("required", [])
    lines = ["| key | unit | value | default | meaning |", "|---|---|---|---|---|"]
    for key, rule in _properties(form).items():
        if key in hidden and rule.get("const") is None:
            continue
        unit, meaning = meanings.of(section, key)
        default = "**required**" if key in required else _default(rule.get("default"))
        lines.append(f"| `{key}` | {unit or _unit_of(key)} | {_value(rule)} | {default} | {meaning} |")
    return lines


def _unit_of(key: str) -> str:
    return next((unit for suffix, unit in UNIT_OF_SUFFIX.items() if key.endswith(suffix)), "")


def _default(value: Any) -> str:
    if value is None or value in ("", [], {}) or isinstance(value, dict):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return "`[" + ", ".join(number(v) for v in value) + "]`"
    return f"`{value if isinstance(value, str) else number(value)}`"


def _value(rule: dict[str, Any]) -> str:
    """A rule of JSON Schema in words."""
    if kinds := [k for k in rule.get("anyOf", []) if k.get("type") != "null"]:
        return " or ".join(dict.fromkeys(_value({**k, **_bounds_of(rule)}) for k in kinds))
    if "prefixItems" in rule:
        return "list of two: " + " and ".join(dict.fromkeys(_value(item) for item in rule["prefixItems"]))
    if rule.get("type") == "array":
        least = f", {rule['minItems']} or more" if rule.get("minItems") else ""
        return f"list of {_value(rule['items'])}{least}"
    return _single(rule)


def _single(rule: dict[str, Any]) -> str:
    if "enum" in rule or "const" in rule:
        return ", ".join(f"`{v}`" for v in rule.get("enum", [rule.get("const")]))
    if "$ref" in rule or rule.get("type") == "object":
        return "mapping"
    if rule.get("pattern") in PATTERN_WORDS:
        return PATTERN_WORDS[rule["pattern"]]
    return _TYPES.get(str(rule.get("type")), "value") + _bound_words(rule)


_BOUNDS = {"over": ("gt", "exclusiveMinimum"), "from": ("ge", "minimum"), "under": ("lt", "exclusiveMaximum"),
           "up to": ("le", "maximum")}


def _bounds_of(rule: dict[str, Any]) -> dict[str, Any]:
    names = {name for pair in _BOUNDS.values() for name in pair}
    return {k: v for k, v in rule.items() if k in names}


def _bound_words(rule: dict[str, Any]) -> str:
    """As in " from 1 up to 125"; the names are JSON Schema's or pydantic's."""
    found = [(word, rule[name]) for word, names in _BOUNDS.items() for name in names if name in rule]
    return "".join(f" {word} {number(value)}" for word, value in found)


# --- commands ---------------------------------------------------------------------------------------------------------


def _commands(_: Meanings) -> list[str]:
    rows = [f"| [`pswd-edge {name}`](#pswd-edge-{name}) | {command.text} |" for name, command in COMMANDS.items()]
    return ["| command | what it does |", "|---|---|", *rows]


def _options(meanings: Meanings) -> list[str]:
    lines: list[str] = []
    for name in COMMANDS:
        lines += ["", f"### pswd-edge {name}", "", meanings.of("commands", name)[1], "",
                  "| argument | values | default | meaning |", "|---|---|---|---|"]
        for action in arguments(name):
            shown = ", ".join(f"`{o}`" for o in action.option_strings) or f"`{action.dest.upper()}`"
            values = ", ".join(f"`{c}`" for c in action.choices or ())
            meaning = meanings.of("commands", f"{name} {action.dest}")[1]
            lines.append(f"| {shown} | {values} | {_option_default(action)} | {meaning} |")
    return lines


def arguments(command: str) -> list[argparse.Action]:
    """A command's arguments but --help, with the defaults of an environment without our variables."""
    parser = argparse.ArgumentParser()
    with _no_variables():
        importlib.import_module(f"pswd_edge.commands.{COMMANDS[command].module}").add_arguments(parser)
    return [a for a in parser._actions if a.dest != "help"]  # noqa: SLF001  # argparse has no other way to ask


@contextlib.contextmanager
def _no_variables() -> Iterator[None]:
    before = dict(os.environ)
    for name in [n for n in before if n.startswith("PSWD_")]:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)


def _option_default(action: argparse.Action) -> str:
    if action.required:
        return "**required**"
    if action.default is None or action.default is False:
        return "none" if action.nargs != 0 else "off"
    return f"`{action.default:g}`" if isinstance(action.default, float) else f"`{action.default}`"


# --- devices ----------------------------------------------------------------------------------------------------------


def _devices(_: Meanings) -> list[str]:
    lines = ["| map | kind | protocol | vendor | rung | points | writable | source |", "|---" * 8 + "|"]
    for name in known_maps(MAP_FOLDERS[:1]):
        found = load_map(name)
        writable = [f"`{row.key}`" for row in found.rows if row.write is not None]
        lines.append(f"| `{found.map}` | {found.kind} | {found.driver} | {found.vendor} | {found.rung} | "
                     f"{len(found.rows)} | {', '.join(writable) or 'none'} | {found.source} |")
    return lines


def _signals(meanings: Meanings) -> list[str]:
    lines = ["| kind | signal | unit | written | meaning |", "|---|---|---|---|---|"]
    shown: list[dict[str, Any]] = []
    for signals in SIGNALS.values():
        if signals in shown:
            continue
        shown.append(signals)
        kinds = ", ".join(k for k, found in SIGNALS.items() if found is signals)
        for name, signal in signals.items():
            member = "[n]" if signal.array else ""
            written, meaning = "yes" if signal.writable else "", meanings.of("signals", name)[1]
            lines.append(f"| {kinds} | `{name}{member}` | {signal.unit} | {written} | {meaning} |")
    return lines


def _alarms(_: Meanings) -> list[str]:
    rows = [f"| `{code}` | {k.severity} | {'yes' if k.latch else ''} | {k.text} | {k.advice} |"
            for code, k in KINDS.items()]
    return ["| code | severity | latches | what it means | what to do |", "|---|---|---|---|---|", *rows]


def _roles(_: Meanings) -> list[str]:
    names = [f"`{role}`" for role in ALLOWED]
    rows = [f"| {operation.value} | " + " | ".join("yes" if operation in may else "" for may in ALLOWED.values()) + " |"
            for operation in Operation]
    return [f"| | {' | '.join(names)} |", f"|{'---|' * (len(names) + 1)}", *rows]


def _scopes(_: Meanings) -> list[str]:
    both = {scope: "yes" if scope in DCPI_SCOPES else "" for scope in KEY_SCOPES}
    rows = [f"| `{scope}` | {', '.join(o.value for o in Operation if o in may)} | {both[scope]} |"
            for scope, may in KEY_SCOPES.items()]
    return ["| scope | may | DCPI clients too |", "|---|---|---|", *rows]


def _units(_: Meanings) -> list[str]:
    si = dict.fromkeys(unit.si for unit in UNITS.values())
    rows = [f"| {inside} | {', '.join(f'`{n}`' for n, unit in UNITS.items() if unit.si == inside)} |" for inside in si]
    return ["| unit inside | units that a map may name |", "|---|---|", *rows]


# --- attacks ----------------------------------------------------------------------------------------------------------


def _attacks(_: Meanings) -> list[str]:
    """From the tests themselves: what is not tested is not claimed."""
    rows = ["| attack | what holds |", "|---|---|"]
    for path in sorted(ATTACKS.glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        rows.append(f"| **{path.stem.removeprefix('test_attacks_').replace('_', ' ')}** | {ast.get_docstring(tree)} |")
        rows += [f"| {test.name.removeprefix('test_').replace('_', ' ')} | {ast.get_docstring(test)} |"
                 for test in tree.body
                 if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name.startswith("test_")]
    return [row.replace("\n", " ") for row in rows]


def main() -> int:
    """Write every document anew; 1 where a meaning is missing or stale."""
    meanings = Meanings(DOCS / "meanings.yaml")
    for name in DOCUMENTS:
        path = DOCS / name
        before = path.read_text(encoding="utf-8")
        after = rendered(name, before, meanings)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{path}: written anew")  # noqa: T201  # a program of the command line
    problems = meanings.problems()
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")  # noqa: T201  # as above
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
