"""Every kind of mistake is found, with the line and in the words of which an engineer can make use."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ConfigDict

from pswd_edge.config import check_site, load_site
from pswd_edge.errors import ConfigError

SMALL = (Path(__file__).parent / "small.yaml").read_text()


def problems(folder: Path, text: str, environment: dict[str, str] | None = None) -> list[str]:
    path = folder / "site.yaml"
    path.write_text(text)
    found = check_site(path, environment or {}).problems
    assert all(line.startswith(f"{path}:") for line in found)
    return [line.removeprefix(f"{path}:") for line in found]


def replaced(old: str, new: str) -> str:
    assert SMALL.count(old) == 1, f"{old!r} stands {SMALL.count(old)} times in small.yaml"
    return SMALL.replace(old, new)


MUTATIONS: dict[str, dict[str, str]] = yaml.safe_load((Path(__file__).parent / "site_mistakes.yaml").read_text())


@pytest.mark.parametrize("kind", MUTATIONS)
def test_one_mistake_is_named_with_its_line_and_nothing_else_is(kind: str, tmp_path: Path) -> None:
    """A second message for the same mistake would send the engineer to a place where nothing is wrong."""
    mutation = MUTATIONS[kind]

    found = problems(tmp_path, replaced(mutation["old"], mutation["new"]))

    assert len(found) == 1, found
    assert found[0].startswith(mutation["expected"]), found[0]


def test_ten_mistakes_are_listed_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Nobody should have to start the checker ten times for ten mistakes."""
    ten = [
        "literal community", "unknown trend", "unknown map", "unknown parent", "point of another unit", "no import",
        "floor above ceiling", "short revert time", "wrong word", "open uplink",
    ]
    text = SMALL
    for kind in ten:
        text = text.replace(MUTATIONS[kind]["old"], MUTATIONS[kind]["new"])

    found = problems(tmp_path, text)

    expected = [MUTATIONS[kind]["expected"] for kind in ten]
    assert len(found) == 10, found
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True)), found


def test_a_secret_is_never_repeated_in_a_message(tmp_path: Path) -> None:
    """The list of mistakes ends in logs and in tickets."""
    text = replaced('password: "file:/run/mqtt"', "password: [hunter2]").replace('"file:/run/secret"', "hunter2")

    found = problems(tmp_path, text)

    assert len(found) >= 2
    assert "hunter2" not in "\n".join(found)


def test_an_unset_variable_is_named_and_hides_what_follows_from_it(tmp_path: Path) -> None:
    """A port that is not a number because its variable is missing is one mistake, not two."""
    found = problems(tmp_path, replaced("port: 8080", 'port: "${PSWD_NO_PORT}"'))

    assert len(found) == 1
    assert found[0].startswith("43: got ${PSWD_NO_PORT}, which is not set: expected a variable of the environment")


@pytest.mark.parametrize("written", ['"${PORT}"', "${PORT}", '"${OTHER:-9000}"', '"${EMPTY:-9000}" # ${NOT_READ}'])
def test_a_variable_may_stand_for_a_number(written: str, tmp_path: Path) -> None:
    """Ports of the demo come from the environment, which has only texts."""
    path = tmp_path / "site.yaml"
    path.write_text(replaced("  port: 1883", f"  port: {written}"))

    site = load_site(path, {"PORT": "9000", "EMPTY": ""})

    assert site.uplink is not None
    assert site.uplink.port == 9000


def test_all_mistakes_are_in_the_error(tmp_path: Path) -> None:
    """`load_site` is what starts the daemon: its error is all that the journal gets."""
    path = tmp_path / "site.yaml"
    path.write_text(replaced("import_limit_w: 125e6", "import_limit_w: 0").replace("port: 1883", "port: 0"))

    with pytest.raises(ConfigError) as error:
        load_site(path, {})

    assert len(error.value.problems) == 2
    assert str(error.value).count("\n") == 1


def test_a_missing_file_is_a_mistake_of_its_own(tmp_path: Path) -> None:
    """A wrong path must not end in a traceback."""
    path = tmp_path / "absent.yaml"

    assert check_site(path, {}).problems == [
        f"{path}:1: got [Errno 2] No such file or directory: '{path}': expected a readable file in UTF-8"
    ]


@pytest.mark.parametrize(
    "text", ["", "a", "- 1", "a: *b", "a: &a [*a]", "? [x]\n: 1", "a: !!python/name:os.system", "\0", "site: {id: }"]
)
def test_no_text_makes_the_checker_raise(text: str, tmp_path: Path) -> None:
    """What stands in a file is never a reason for a traceback."""
    assert problems(tmp_path, text)


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid")

    host: str
    port: int = 502


def test_the_drivers_own_keys_are_checked_where_the_drivers_are_known(tmp_path: Path) -> None:
    """A misspelt key of a driver would else be found when the connection is opened, at night."""
    path = tmp_path / "site.yaml"
    path.write_text(replaced("port: 502}", "prot: 502}").replace("port: 503}", "port: five}"))
    configs = {"modbus": _Config}

    found = [line.partition("site.yaml:")[2] for line in check_site(path, {}, configs).problems]

    assert found == [
        "3: connections.meters.prot: got an unknown key: expected one of host, port",
        "4: connections.bess.port: got 'five': expected a whole number",
        "6: connections.pdu.driver: got 'snmp': expected one of modbus",
    ]
