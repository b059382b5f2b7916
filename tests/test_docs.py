"""The documents say what the code does: nothing is undocumented, no link is dead, examples run."""

import ast
import importlib.util
import json
import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from test_architecture import ALLOWED

from pswd_edge.cli import COMMANDS, main
from pswd_edge.control.alarm_table import KINDS
from pswd_edge.control.alarms import LEFT_OUT
from pswd_edge.control.rules.degraded import ROWS
from pswd_edge.gateway.roles import ALLOWED as OPERATIONS
from pswd_edge.gateway.uplink.messages import STREAMS
from pswd_edge.model.command import Level, Mode
from pswd_edge.model.quality import Reason
from pswd_edge.model.report import LinkReport, SetpointReport

ROOT = Path(__file__).parents[1]
HOUSE, DOCS = ROOT / "pswd_edge", ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
SIX = ("devices/janitza-umg801.yaml", "pswd_edge/field/drivers/modbus_link.py", "pswd_edge/field/table.py",
       "pswd_edge/image/writer.py", "pswd_edge/gateway/services/power.py",
       "pswd_edge/gateway/profiles/pswd/power_rows.py")
WORD = re.compile(r"[a-z]+(_[a-z]+)*[_:]?")


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = generator()


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code_words(page: str) -> set[str]:
    """What stands in backticks outside of code blocks."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL)))


def first_column(page: str, heading: str) -> set[str]:
    """The words in backticks in the first column of the tables below a heading."""
    part = re.split(r"^#+ ", text(page).partition(f"{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("|")]
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def trees(*patterns: str) -> Iterator[ast.Module]:
    for pattern in patterns:
        found = sorted(HOUSE.glob(pattern))
        assert found, pattern
        yield from (ast.parse(path.read_text(encoding="utf-8")) for path in found)


def constants(node: ast.AST) -> Iterator[str]:
    yield from (n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str))


def calls(name: str, *patterns: str) -> Iterator[ast.Call]:
    for tree in trees(*patterns):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == name:
                yield node


def event_codes() -> set[str]:
    """The second argument of every `tell`, where it is written out."""
    found = [c.args[1] for name in ("tell", "_tell") for c in calls(name, "**/*.py") if len(c.args) == 4]
    return {arg.value for arg in found if isinstance(arg, ast.Constant)}


def words_of(*patterns: str) -> set[str]:
    """Single words that the code says, docstrings and format specifications left out."""
    words: set[str] = set()
    for tree in trees(*patterns):
        scopes = [n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
        docs = {id(n.body[0].value) for n in scopes if n.body and isinstance(n.body[0], ast.Expr)}
        exports = [n.value for n in tree.body if isinstance(n, ast.Assign)
                   and getattr(n.targets[0], "id", "") == "__all__"]
        docs |= {id(c) for value in exports for c in ast.walk(value)}
        words |= {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
                  and id(n) not in docs and WORD.fullmatch(n.value)}
    return words - {"inf", "nan", "g"}


def rule_words() -> set[str]:
    """Every word that a control rule can say: names of degraded modes, bindings, sources."""
    whole = {"grid_meter_": "grid_meter_<reason>", "battery_lost:": "battery_lost:<id>",
             "battery_not_following:": "battery_not_following:<id>", "setpoint_refused": "setpoint_refused:<id>",
             "interlock_latched:": "interlock_latched:<id>", "supervision_lost": "supervision_lost:<who>",
             "battery_oscillates:": "battery_oscillates:<id>", "oscillates": "battery_oscillates:<id>",
             "soc_uncertain": "soc_uncertain:<id>", "circuit_overload": "circuit_overload:<id>",
             "circuit_unknown": "circuit_unknown:<id>", "circuit:": "circuit:<id>",
             "grid_meter_outvoted": "grid_meter_outvoted:<place>", "over_temperature:": "over_temperature:<id>",
             "temperature_lost:": "temperature_lost:<id>", "heat_export_off:": "heat_export_off:<id>"}
    inside_sentences = {"cooling", "heat", "ramp"}
    return {whole.get(word, word) for word in words_of("control/rules/*.py") - inside_sentences}


def alarm_codes() -> set[str]:
    """What control yields by name as a condition: a pair, or `Condition(...)`, and the list's own."""
    yields = [n.value for tree in trees("control/cycle.py", "control/journal.py") for n in ast.walk(tree)
              if isinstance(n, ast.Yield)]
    firsts = [v.elts[0] for v in yields if isinstance(v, ast.Tuple)]
    firsts += [c.args[0] for c in calls("Condition", "control/*.py") if c.args]
    return {first.value for first in firsts if isinstance(first, ast.Constant)} | {LEFT_OUT}


def answer_words() -> set[str]:
    """Codes and limits of outcomes, wherever control makes them: `code=`, `limit=`, and what the checks return."""
    found: set[str] = set()
    for tree in trees("control/*.py", "door.py"):
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in ("code", "limit"):
                found |= set(constants(node.value))
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "no":
                found |= set(constants(node.args[0]))
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "limit":
                found |= set(constants(node.value))
    checks = ast.parse(text("pswd_edge/control/requests.py"))
    returned = [n.value for n in ast.walk(checks) if isinstance(n, ast.Return) and isinstance(n.value, ast.Tuple)]
    found |= {word for pair in returned for word in constants(pair)}
    return {word for word in found if WORD.fullmatch(word)}


def documented_states(report: type) -> set[str]:
    """The states that a report's docstring lists."""
    return set(re.findall(r'"(\w+)"', re.search(r"`state`.*?\.", report.__doc__, re.DOTALL)[0]))


# --- nothing is undocumented ------------------------------------------------------------------------------------------


def test_every_key_argument_signal_unit_and_device_is_documented() -> None:
    """Tables come from the code; a key without a meaning, or a table out of step, fails: run docs/generate.py."""
    meanings = GENERATE.Meanings(DOCS / "meanings.yaml")
    stale = [name for name in GENERATE.DOCUMENTS
             if GENERATE.rendered(name, text(f"docs/{name}"), meanings) != text(f"docs/{name}")]
    assert meanings.problems() == []
    assert stale == []


def test_a_key_without_a_meaning_is_found(tmp_path: Path) -> None:
    """A generator that fills gaps with nothing would document nothing."""
    less = re.sub(r"(?m)^  ramp_limit_w_per_min: .*\n", "  no_such_key: x\n", text("docs/meanings.yaml"))
    (tmp_path / "meanings.yaml").write_text(less)
    meanings = GENERATE.Meanings(tmp_path / "meanings.yaml")
    for name in GENERATE.DOCUMENTS:
        GENERATE.rendered(name, text(f"docs/{name}"), meanings)
    assert [p.split(":")[1].strip() for p in meanings.problems()] == [
        "ControlForm.ramp_limit_w_per_min", "ControlForm.no_such_key"]


def test_every_event_is_documented() -> None:
    """At night an event code is looked up, not guessed."""
    found = event_codes()
    assert {"connection_lost", "tier", "mode"} <= found
    assert found == first_column("docs/operations.md", "## Events")


def test_every_alarm_is_documented() -> None:
    """An alarm without a line in operations.md tells nobody what to do."""
    known = ("blind", "reserve_insufficient", "loop_too_slow")
    alarms = {w for w in rule_words() if w.startswith(("grid_meter_", "battery_")) or w in known}
    assert len(alarms) >= 6
    assert alarms | alarm_codes() <= set(KINDS) == first_column("docs/operations.md", "## Alarms")
    assert alarms <= first_column("docs/control.md", "## Degraded modes")


def test_the_degraded_modes_are_those_of_the_table() -> None:
    """The same rows in the same words, and what each leaves of the law."""
    page = text("docs/control.md").partition("## Degraded modes")[2].partition("\n## ")[0]
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    said = {r[0].strip("`"): [word == "yes" for word in r[3:6]] for r in rows}
    assert said == {r.name: [r.restores, r.gives_back, r.starts] for r in ROWS}
    assert {r[0].strip("`") for r in rows if "`others`" in r[2]} == {r.name for r in ROWS if r.batteries == "others"}


def test_every_word_of_the_rules_is_documented() -> None:
    """Bindings and degraded modes are what `status` shows; they must be found in the description of the law."""
    assert {"ramp_up", "target"} <= rule_words()
    assert rule_words() - code_words("docs/control.md") - {r.name.lower() for r in Reason} == set()


def test_every_answer_to_a_request_is_documented() -> None:
    """Control's own words reach clients."""
    assert {"not_ready", "approved_power"} <= answer_words()
    assert answer_words() - first_column("docs/operations.md", "## What requests are answered") == set()


def test_every_mode_level_reason_and_state_is_documented() -> None:
    """What `status` prints has a line."""
    control, operations = text("docs/control.md"), text("docs/operations.md")
    assert [m.value for m in Mode if f"| {m.value} |" not in control] == []
    assert [v for v in Level if f"| {v.value} {v.name} |" not in control] == []
    assert [r.name for r in Reason if f"| {r.name} |" not in operations] == []
    states = documented_states(SetpointReport) | documented_states(LinkReport)
    assert {"verified", "backoff"} <= states
    assert states <= code_words("docs/operations.md")


def test_every_variable_of_the_environment_is_documented() -> None:
    """A variable that nobody knows of is a trap."""
    sources = [*HOUSE.rglob("*.py"), *(ROOT / "config").glob("*.yaml"), *(ROOT / "systemd").rglob("*.service")]
    used = {n for p in sources for n in re.findall(r"\bPSWD_[A-Z_]+\b", p.read_text(encoding="utf-8"))}
    assert "PSWD_RUNTIME_DIR" in used
    assert used <= code_words("docs/configuration.md")


def test_every_route_role_and_topic_is_documented() -> None:
    """Who writes a client reads these pages."""
    pages = " ".join(p.read_text(encoding="utf-8") for p in (DOCS / "api").glob("*.md"))
    for name, least in (("pswd", 12), ("dcpi", 17)):
        modules = sorted((HOUSE / f"gateway/profiles/{name}").glob("*.py"))
        routes = {c for m in modules for c in constants(ast.parse(m.read_text(encoding="utf-8")))
                  if re.fullmatch(r"/[a-z]+(/[a-z_{}-]+)+", c)}
        assert len(routes) >= least
        assert [r for r in routes if r not in pages] == []
    own = {c for c in constants(ast.parse(text("pswd_edge/gateway/profiles/edge/profile.py")))
           if re.fullmatch(r"/[a-z/]+", c) and c != "/edge"}
    assert len(own) == 3
    assert [r for r in own if f"/edge{r}" not in text("docs/api/edge.md")] == []
    assert {r.value for r in OPERATIONS} == first_column("docs/operations.md", "## Users and roles")
    assert {f"<prefix>/{s}" for s in STREAMS} <= code_words("docs/api/mqtt.md")


def test_every_dependency_has_its_reason() -> None:
    """A dependency is a promise to keep up with it."""
    project = tomllib.loads(text("pyproject.toml"))
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"],
              *(d for extra in project["project"]["optional-dependencies"].values() for d in extra)]
    names = {re.match(r"[A-Za-z0-9_-]+", d)[0] for d in wanted}
    rows = [line.split("|")[1] for line in text("docs/dependencies.md").splitlines() if line.startswith("|")]
    assert {"numpy", "ruff"} <= names
    assert names == {n for row in rows for n in re.split(r"[,\s]+", row) if n and n != "package" and "-" * 3 not in n}


def test_every_decision_is_in_the_index_and_whole() -> None:
    """Numbers without holes, and each says what it costs."""
    files = sorted(p.name for p in (DOCS / "decisions").glob("0*.md"))
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))
    for name in files:
        page = text(f"docs/decisions/{name}")
        assert [h for h in ("## Context", "## Choice", "## Given up") if h not in page] == [], name
        assert f"]({name})" in text("docs/decisions/README.md")


# --- what is said is true ---------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A page moved is a link mended."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(?s)```.*?```", "", page.read_text(encoding="utf-8"))):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        if not other.exists() or (anchor and anchor not in anchors(other)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    """A path in backticks is followed by somebody."""
    folders = "pswd_edge|simulators|tests|config|docs|systemd|devices|control|field|gateway|image|profiles|services"
    named = set(re.findall(rf"`((?:{folders})/[\w./-]*)`", page.read_text(encoding="utf-8"))) - {"config/site.yaml"}
    roots = (ROOT, HOUSE, HOUSE / "gateway")
    assert [n for n in named if not any((root / n).exists() for root in roots)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_named_commands_and_targets_exist(page: Path) -> None:
    """Every `pswd-edge …` and `make …` of the pages can be typed."""
    written = page.read_text(encoding="utf-8")
    lines = [*re.findall(r"`([^`\n]+)`", written), *re.findall(r"^    (.+)$", written, re.MULTILINE)]
    wrong = []
    for line in lines:
        command = re.search(r"(?:^|[/ ])pswd-edge ([a-z]+)\b(.*)$", line)
        if command is not None:
            options = GENERATE.arguments(command[1]) if command[1] in COMMANDS else None
            known = {o for a in options or () for o in a.option_strings} | {"--help"}
            given = set(re.findall(r"(?<!\S)--[a-z0-9-]+", command[2].partition("#")[0]))
            wrong += [line] if options is None or given - known else []
        target = re.match(r"(?:sudo )?make ([a-z-]+)", line)
        wrong += [line] if target is not None and f"\n{target[1]}:" not in text("Makefile") else []
    assert wrong == []


def test_a_value_can_be_followed_through_six_files() -> None:
    """The page that a newcomer reads first names real files, in this order."""
    page = text("docs/architecture.md").partition("## One value, from register to JSON")[2].partition("\n## ")[0]
    assert re.findall(r"^\d\. \[`([^`]+)`\]", page, re.MULTILINE) == list(SIX)
    names = {"ask", "data_received", "put_raw", "settle", "publish_latest", "publish_row", "series"}
    parsed = [ast.parse(text(file)) for file in SIX if file.endswith(".py")]
    defined = {n.name for tree in parsed for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    assert names <= set(re.findall(r"`(\w+)`", page))
    assert names <= defined


def test_the_import_table_is_the_tests_own() -> None:
    """Two tables that differ are none."""
    page = text("docs/architecture.md").partition("## The import table")[2].partition("\n## ")[0]
    rows = [re.findall(r"`([\w.]+)`", line) for line in page.splitlines() if line.startswith("| `")]
    assert {row[0]: set(row[1:]) for row in rows} == ALLOWED


def test_the_readme_lists_the_commands() -> None:
    """What `pswd-edge --help` lists, and no more."""
    page = text("README.md").partition("## Commands")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `pswd-edge (\w+)", page, re.MULTILINE)) == set(COMMANDS)


def test_the_readme_counts_the_demos_devices(capsys: pytest.CaptureFixture[str]) -> None:
    """A number in a sentence is the first thing to go stale."""
    assert main(["check", str(ROOT / "config/demo.yaml")]) == 0
    counted = re.search(r"in order: (\d+ devices)", capsys.readouterr().out)
    assert f"({counted[1]} on" in text("README.md")


def test_published_peak_gains_are_those_of_the_filter() -> None:
    """A published bound must be the law's: first-order low-pass at 10 Hz, compensated T_d late."""
    rows = re.findall(r"^\| (0\.\d+) s \| (1\.\d+) \|$", text("docs/control.md"), re.MULTILINE)
    assert len(rows) == 4
    for delay, gain in rows:
        assert peak_gain(float(delay), filter_hz=0.15) == pytest.approx(float(gain), abs=0.006)
    assert "about 1.14 at 0.25 s delay" in text("README.md")


def peak_gain(delay_s: float, filter_hz: float, period_s: float = 0.1) -> float:
    share = 1 - math.exp(-2 * math.pi * filter_hz * period_s)

    def gain(hertz: float) -> float:
        turn = 2 * math.pi * hertz
        keep = (1 - share) * complex(math.cos(turn * period_s), -math.sin(turn * period_s))
        late = complex(math.cos(turn * delay_s), -math.sin(turn * delay_s))
        return abs(1 - share / (1 - keep) * late)

    return max(gain(i / 500) for i in range(1, 2500))


def test_asyncua_stays_behind_the_opcua_driver() -> None:
    """Decision 7: the library is LGPL, and is imported in one place only."""
    imports = re.compile(r"(?m)^(from|import) asyncua")
    users = {p.name for p in HOUSE.rglob("*.py") if imports.search(p.read_text(encoding="utf-8"))}
    assert users == {"opcua.py", "opcua_answer.py", "opcua_explore.py", "opcua_feed.py", "opcua_link.py",
                     "opcua_security.py", "opcua_session.py", "opcua_value.py", "opcua_watch.py"}


def test_no_page_names_the_workshop() -> None:
    """Pages are for strangers: no paths of the machine that they were written on."""
    assert [p for p in PAGES if re.search(r"/work/|/root/|\.library|\.\./shared", p.read_text(encoding="utf-8"))] == []


# --- examples run -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("site", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_site_files_in_config_are_in_order(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`pswd-edge check` on every example, without a warning: they are copied."""
    assert main(["check", str(site), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"problems": [], "warnings": []}


def test_the_documented_plan_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """architecture.md sends the reader to this output for the meter's request."""
    assert main(["plan", str(ROOT / "config/demo.yaml")]) == 0
    assert re.search(r"^pcc +every +100 ms +holding 19000\+52", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The list of commands offers nothing that is not there."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: pswd-edge {command}" in capsys.readouterr().out


def test_a_mistake_reads_as_the_page_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """configuration.md shows this line."""
    shown = re.search(r"^    config/site\.yaml:(\d+): (.+)$", text("docs/configuration.md"), re.MULTILINE)
    site = text("config/demo.yaml").replace("ups-1:       {map: ups-mib, connection: ups-1}",
                                            "ups-1:       {map: ups-mib, connection: ups-1, unit: 300}")
    (tmp_path / "site.yaml").write_text(site)
    assert main(["check", str(tmp_path / "site.yaml")]) == 2
    assert shown[2] in capsys.readouterr().out
