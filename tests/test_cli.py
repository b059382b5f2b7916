"""The command line: exit codes, and what a person reads."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pswd_edge.cli import COMMANDS, main
from pswd_edge.image import ImageWriter
from pswd_edge.model.report import FieldReport
from tests.gateway.uplink.small_image import small_site

ROOT = Path(__file__).parents[1]
DEMO = str(ROOT / "config" / "demo.yaml")


def broken_site(tmp_path: Path) -> Path:
    """Two mistakes: an unknown key and a device on a connection that is not there."""
    text = (ROOT / "config" / "demo.yaml").read_text()
    text = text.replace("connection: pcc, unit: 1", "connection: pc, unit: 1")
    text = text.replace("filter_hz: 0.15", "filterhz: 0.15")
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return path


def test_check_of_a_good_site_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """An engineer at night needs one line that says yes."""
    assert main(["check", DEMO]) == 0
    assert "in order: 17 devices" in capsys.readouterr().out


def test_check_lists_every_mistake_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All mistakes at once, each where it stands, and exit code 2."""
    path = broken_site(tmp_path)

    assert main(["check", str(path)]) == 2

    printed = capsys.readouterr().out
    assert "filterhz" in printed
    assert "got 'pc'" in printed or "got pc" in printed
    assert all(line.startswith(f"{path}:") for line in printed.splitlines() if " got " in line)


def test_run_with_a_broken_site_starts_nothing(tmp_path: Path) -> None:
    """Exit code 2 tells systemd not to try again; no image and no ledger is made."""
    path = broken_site(tmp_path)
    environment = {"PATH": "/usr/bin:/bin", "PSWD_RUNTIME_DIR": str(tmp_path / "run"),
                   "PSWD_STATE_DIR": str(tmp_path / "state")}
    done = subprocess.run([sys.executable, "-m", "pswd_edge", "run", "control", "--site", str(path)], cwd=ROOT,
                          capture_output=True, text=True, env=environment, timeout=60, check=False)

    assert done.returncode == 2
    assert "filterhz" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "state").exists()


def test_plan_shows_requests_and_slack(capsys: pytest.CaptureFixture[str]) -> None:
    """Seventeen devices take far fewer requests than points, and every connection makes its rate."""
    assert main(["plan", DEMO, "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["requests"] < found["points"] / 3
    assert all(c["slack_ms"] > 0 for c in found["connections"])


def test_plan_refuses_what_cannot_make_its_rate(capsys: pytest.CaptureFixture[str]) -> None:
    """With a round trip of 80 ms a gateway with three meters cannot be read ten times a second."""
    assert main(["plan", DEMO, "--round-trip-ms", "80"]) == 2
    assert "does not fit" in capsys.readouterr().out


def test_status_without_control_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback where nothing runs."""
    assert main(["status", "--runtime-dir", str(tmp_path)]) == 1
    assert "is the control process running?" in capsys.readouterr().err


def test_status_shows_texts_by_the_names_of_their_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A device's make and serial number are no numbers: they stand beside the values, under the point's id."""
    writer = ImageWriter(tmp_path, small_site())
    field = FieldReport(1e9, (), 3, 0, 0, 1, texts={2: "PM5560"})
    writer.publish_field(1, msgspec.msgpack.encode(field))

    main(["status", "--json", "--runtime-dir", str(tmp_path)])

    assert json.loads(capsys.readouterr().out)["texts"] == {"pcc.energy_import_wh": "PM5560"}


def test_mode_without_control_fails_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The operator's order was not taken, and the text says so."""
    assert main(["mode", "SAFE", "--runtime-dir", str(tmp_path)]) == 1
    assert "no answer from control" in capsys.readouterr().err


def test_simulate_passes_its_arguments_on(tmp_path: Path) -> None:
    """The simulators' own words work, and a wrong site is refused by them with exit code 2."""
    done = subprocess.run([sys.executable, "-m", "pswd_edge", "simulate", "--site", str(broken_site(tmp_path))],
                          cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert "filterhz" in done.stderr


def test_unknown_argument_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing mistake must not be passed over."""
    with pytest.raises(SystemExit) as ended:
        main(["check", DEMO, "--jsn"])
    assert ended.value.code == 2
    assert "--jsn" in capsys.readouterr().err


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help that teaches: every command explains itself."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out
