"""The systemd units: hardened, the same as the demo's processes, and installed without touching what is there."""

import configparser
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from pswd_edge.supervisor import Child, site_children

FOLDER = Path(__file__).parents[1] / "systemd"
NAMES = ("control", "gateway")


class Lines(dict):
    """Keys may repeat in a unit; the values are joined by a newline."""

    def __setitem__(self, key: str, value: object) -> None:
        if isinstance(value, list) and key in self:
            value = self[key] + value
        super().__setitem__(key, value)


def service(name: str) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False, dict_type=Lines, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str
    parser.read(FOLDER / f"pswd-edge-{name}.service")
    return parser["Service"]


def need(tool: str) -> str:
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not on this machine")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_exposure_is_under_two(name: str) -> None:
    """What systemd itself calls well protected; a line lost from a unit raises it."""
    unit = FOLDER / f"pswd-edge-{name}.service"
    done = subprocess.run(
        [need("systemd-analyze"), "security", "--offline=true", "--no-pager", "--threshold=20", str(unit)],
        capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot judge a file offline")
    assert done.returncode == 0, (done.stdout + done.stderr)[-600:]


@pytest.mark.parametrize("unit", sorted(p.name for p in FOLDER.glob("pswd-edge*.*") if p.is_file()))
def test_units_are_well_formed(unit: str) -> None:
    """systemd ignores a key that it does not know, and with it the protection that was meant."""
    tool = "systemd-sysusers" if unit.endswith(".sysusers.conf") else "systemd-analyze"
    if unit.endswith(".sysusers.conf"):
        command = [need(tool), "--dry-run", str(FOLDER / unit)]
    else:
        command = [need(tool), "verify", "--man=no", str(FOLDER / unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if unit in line or "pswd-edge" in line]
    wrong = [line for line in said if "is not executable" not in line and "Creating " not in line]
    assert wrong == []


@pytest.mark.parametrize(("name", "place"), [("control", 0), ("gateway", 1)])
def test_units_run_what_the_supervisor_runs(name: str, place: int) -> None:
    """The demo and a site must not differ in commands, priority or watchdog."""
    child: Child = site_children(
        Path("/etc/pswd-edge/site.yaml"), Path("/run/pswd-edge"), Path("/var/lib/pswd-edge-gateway"))[place]
    unit = service(name)
    assert unit["ExecStart"].split()[1:] == list(child.command[3:])
    assert int(unit.get("Nice", "0")) == child.niceness
    assert float(unit["WatchdogSec"]) == child.watchdog_s
    assert (unit["Type"], unit["NotifyAccess"], unit["Restart"]) == ("notify", "main", "on-failure")


def test_gateway_shares_the_folder_but_not_the_user_nor_the_ledger() -> None:
    """It reads the image and reaches the door by the group; control's ledger is none of its business."""
    control, gateway = service("control"), service("gateway")
    assert control["User"] != gateway["User"]
    assert control["Group"] == gateway["Group"] == "pswd"
    assert (control["RuntimeDirectory"], control["RuntimeDirectoryMode"]) == ("pswd-edge", "0750")
    assert (control["StateDirectoryMode"], gateway["StateDirectoryMode"]) == ("0700", "0700")
    assert gateway["ReadOnlyPaths"] == "-/run/pswd-edge"
    assert gateway["ProtectSystem"] == "strict"


def test_folder_of_the_image_outlives_control() -> None:
    """A folder made anew would be another one than that which the gateway has mounted."""
    assert service("control")["RuntimeDirectoryPreserve"] == "yes"


@pytest.mark.parametrize("name", NAMES)
def test_networks_are_denied_until_named(name: str) -> None:
    """A fresh installation reaches loopback only; a drop-in opens what the site needs."""
    unit = service(name)
    assert (unit["IPAddressDeny"], unit["IPAddressAllow"]) == ("any", "localhost")


def test_door_can_ask_who_comes() -> None:
    """In a user namespace every peer's uid reads as nobody: the door could not tell the gateway from a stranger."""
    assert "PrivateUsers" not in service("control")


def make(*words: str) -> str:
    done = subprocess.run([need("make"), "-C", str(FOLDER.parent), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_install_fills_an_empty_machine_and_overwrites_nothing(tmp_path: Path) -> None:
    """A second installation is an update: the operator's own files must come through it."""
    install = ("install", "INSTALL_VENV=0", f"DESTDIR={tmp_path}", "PREFIX=/srv/edge")
    make(*install)
    unit = tmp_path / "usr/local/lib/systemd/system/pswd-edge-control.service"
    assert "ExecStart=/srv/edge/bin/pswd-edge run control --site /etc/pswd-edge/site.yaml" in unit.read_text()
    assert (tmp_path / "usr/local/lib/sysusers.d/pswd-edge.conf").exists()
    assert (tmp_path / "etc/pswd-edge/secrets").stat().st_mode & 0o777 == 0o700
    own = [tmp_path / "etc/pswd-edge" / name for name in ("site.yaml", "networks.conf.example", "secrets/mqtt")]
    for file in own:
        file.write_text("mine")
    make(*install)
    make("uninstall", f"DESTDIR={tmp_path}", "PREFIX=/srv/edge")
    assert [file.read_text() for file in own] == ["mine"] * 3
    assert not unit.exists()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_pin_by_hash_and_name_no_place(name: str) -> None:
    """An index or a path of one machine in the lock would break every other; a missing hash would be believed."""
    text = (FOLDER.parent / name).read_text()
    entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(entries) > 40
    assert all("==" in line and line.endswith("\\") for line in entries), "each pinned, each followed by its hashes"
    assert not any(word in text for word in ("://", "--index", "--find-links", "file:", "-e "))


def test_lock_files_agree_and_cover_what_pyproject_asks_for() -> None:
    """The tests must run on what the gateway runs on."""
    def pins(name: str) -> set[str]:
        lines = (FOLDER.parent / name).read_text().splitlines()
        return {line.rstrip("\\ ") for line in lines if line and not line.startswith((" ", "#"))}

    assert pins("requirements.lock") <= pins("requirements-dev.lock")
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + [d for extra in project["optional-dependencies"].values() for d in extra]
    locked = {re.split("[=; ]", pin)[0] for pin in pins("requirements-dev.lock")}
    names = {re.split("[><=!~; [(]", line)[0].lower().replace("_", "-") for line in asked}
    assert names - locked == set(), "run: make lock"
