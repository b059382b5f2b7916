"""The import table of the house: who may know whom. Without it, the network ends up knowing the devices."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

HOUSE = Path(__file__).parents[1] / "pswd_edge"
GROUND = {"errors", "clock", "systemd"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "clock": set(),
    "systemd": set(),
    "model": GROUND,
    "chain": GROUND,
    "image": GROUND | {"model"},
    "config": GROUND | {"model"},
    "field": GROUND | {"model", "image", "config"},
    "control": GROUND | {"model", "image", "config", "chain"},
    "control.rules": {"model"},
    "planning": {"model"},
    "door": GROUND | {"model", "image", "config"},
    "gateway": GROUND | {"model", "image", "config", "planning", "door", "chain"},
}
"""What each room may import beside itself. `field` and `gateway` never meet, siblings do not import each other."""
ROOF = {"supervisor", "app", "cli", "commands", "log", "bench", "demo", "reload", "replay", "__main__", "__init__"}
"""These join the rooms, and may import everything."""


class Edge(NamedTuple):
    """An import: module names without the leading `pswd_edge.`."""

    importer: str
    imported: str
    line: int


def modules(house: Path) -> dict[str, Path]:
    found = {}
    for path in house.rglob("*.py"):
        parts = path.relative_to(house).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = path
    return found


def imported_names(tree: ast.AST, package: list[str]) -> Iterator[tuple[str, int]]:
    """Full dotted names and lines of all imports, wherever in the file they stand."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{origin}.{alias.name}", node.lineno) for alias in node.names)


def edges(house: Path) -> list[Edge]:
    known, found = modules(house), []
    for name, path in known.items():
        within = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        package = [house.name, *(part for part in within if part != "__init__")]
        for full, line in imported_names(ast.parse(path.read_text()), package):
            if not full.startswith(f"{house.name}."):
                continue
            target = full.removeprefix(f"{house.name}.")
            while target not in known and "." in target:
                target = target.rpartition(".")[0]
            found.append(Edge(name, target, line))
    return found


def room(module: str) -> str:
    return "control.rules" if module.startswith("control.rules") else module.split(".")[0]


def profile(module: str) -> str | None:
    parts = module.split(".")
    return parts[2] if parts[:2] == ["gateway", "profiles"] and len(parts) > 2 else None


def broken_rules(found: list[Edge]) -> list[str]:
    """One line for each import that the table does not allow."""
    problems = []
    for edge in found:
        here, there = room(edge.importer), room(edge.imported)
        inside = here == there or (here == "control" and there == "control.rules")
        if here not in ALLOWED and here not in ROOF:
            problems.append(f"{edge.importer}: not in the import table; give it a place in tests/test_architecture.py")
        elif here in ALLOWED and not inside and there not in ALLOWED[here]:
            problems.append(f"{edge.importer}:{edge.line}: imports {edge.imported}; {here} may import "
                            f"{', '.join(sorted(ALLOWED[here])) or 'nothing'}")
        pair = profile(edge.importer), profile(edge.imported)
        if None not in pair and pair[0] != pair[1]:
            problems.append(f"{edge.importer}:{edge.line}: imports {edge.imported}; profiles do not know each other")
    return sorted(set(problems))


def cycle(found: list[Edge]) -> list[str]:
    """The modules of an import cycle, or nothing."""
    graph: dict[str, set[str]] = {}
    for edge in found:
        if edge.importer != edge.imported:
            graph.setdefault(edge.importer, set()).add(edge.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_imports_run_downwards_only() -> None:
    """Design of the house: what faces the network cannot reach a device, rules stay pure."""
    assert broken_rules(edges(HOUSE)) == []


def test_no_import_cycles() -> None:
    """Two modules that need each other are one module."""
    assert cycle(edges(HOUSE)) == []


def build(tmp_path: Path, files: dict[str, str]) -> Path:
    house = tmp_path / "pswd_edge"
    for name, text in files.items():
        path = house / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return house


@pytest.mark.parametrize(("importer", "text"), [
    ("field/poller.py", "from pswd_edge.gateway import server"),
    ("gateway/server.py", "import pswd_edge.field.poller"),
    ("gateway/server.py", "def late():\n    from pswd_edge.field.poller import Poller"),
    ("gateway/server.py", "from ..field import poller"),
    ("gateway/server.py", "from .. import field"),
    ("gateway/profiles/dcpi/routes.py", "from pswd_edge.gateway.profiles.pswd import routes"),
    ("gateway/profiles/dcpi/routes.py", "from ..pswd.routes import x"),
    ("control/rules/ramp.py", "from pswd_edge.clock import SystemClock"),
    ("control/rules/ramp.py", "from pswd_edge.control import cycle"),
    ("planning/forecast.py", "from pswd_edge.errors import PswdError"),
    ("control/cycle.py", "from pswd_edge.field import poller"),
    ("model/point.py", "from pswd_edge.image import reader"),
    ("image/reader.py", "from pswd_edge.config import site_form"),
    ("errors.py", "from pswd_edge import clock"),
    ("door.py", "from pswd_edge import supervisor"),
    ("attic/box.py", "from pswd_edge import clock"),
])
def test_a_forbidden_import_is_found(tmp_path: Path, importer: str, text: str) -> None:
    """A test that cannot fail holds nothing."""
    files = dict.fromkeys((
        "errors.py", "clock.py", "supervisor.py", "door.py", "model/point.py", "image/reader.py", "config/site_form.py",
        "field/__init__.py", "field/poller.py", "control/__init__.py", "control/cycle.py", "gateway/__init__.py",
        "gateway/server.py", "gateway/profiles/pswd/routes.py"), "")
    assert broken_rules(edges(build(tmp_path, files))) == []
    assert len(broken_rules(edges(build(tmp_path, files | {importer: text})))) == 1


def test_an_allowed_import_is_not_complained_of(tmp_path: Path) -> None:
    """The table forbids, it does not wall in."""
    found = edges(build(tmp_path, {
        "errors.py": "", "clock.py": "", "model/point.py": "from pswd_edge.errors import X", "cli.py":
        "from pswd_edge.gateway import server\nfrom pswd_edge.field import poller", "gateway/server.py":
        "import os\nfrom pswd_edge import clock\nfrom pswd_edge.model.point import Point", "field/poller.py": "",
        "control/cycle.py": "from pswd_edge.control.rules import ramp", "control/rules/ramp.py":
        "from pswd_edge.model import point"}))
    assert len(found) == 7
    assert broken_rules(found) == []


def test_a_cycle_is_found(tmp_path: Path) -> None:
    """Within one room the table allows everything but this."""
    house = build(tmp_path, {"model/a.py": "from pswd_edge.model import b", "model/b.py": "from .a import x"})
    assert set(cycle(edges(house))) == {"model.a", "model.b"}
