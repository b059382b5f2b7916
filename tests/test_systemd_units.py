"""The systemd units: hardened, alike in both worlds, and the door between them fits."""

import configparser
import shutil
import subprocess
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
