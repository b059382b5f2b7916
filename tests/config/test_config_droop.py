"""The droop part of a site: what it compiles to, what is refused with numbers, what is only warned of."""

from pathlib import Path

import pytest

from pswd_edge.config import Compiled, compile_site
from pswd_edge.errors import ConfigError

DEMO = (Path(__file__).parents[2] / "config" / "demo.yaml").read_text()
FREQUENCY = "  frequency: pcc.frequency_hz\n"


def compiled(folder: Path, droop: str, *changes: tuple[str, str]) -> Compiled:
    """The demo with a droop section of this text."""
    text = DEMO
    for old, new in ((FREQUENCY, f"{FREQUENCY}  droop: {{{droop}}}\n"), *changes):
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "site.yaml"
    path.write_text(text)
    return compile_site(path, {})


def test_droop_counts_from_the_grid_s_frequency_and_the_batteries_ratings(tmp_path: Path) -> None:
    """5 % of 50 Hz are 2.5 Hz, for which the batteries' 100 MW are given; one nominal frequency in the whole file."""
    found = compiled(tmp_path, "power_max_w: 8e6, reserve_s: 120").site.control.droop
    assert found is not None
    assert (found.nominal_hz, found.w_per_hz, found.deadband_hz) == (50.0, 40e6, 0.036)
    assert (found.power_max_w, found.reserve_s, found.ramp_exempt, found.max_age_ms) == (8e6, 120.0, True, 500)
    other = compiled(tmp_path, "power_max_w: 8e6, reserve_s: 120, droop_percent: 4",
                     ("nominal_frequency_hz: 50", "nominal_frequency_hz: 60")).site.control.droop
    assert other is not None
    assert (other.nominal_hz, other.w_per_hz) == (60.0, pytest.approx(100e6 / 2.4))


def test_without_the_section_there_is_no_droop(tmp_path: Path) -> None:
    """A meter that shows the frequency is no promise to the grid."""
    path = tmp_path / "site.yaml"
    path.write_text(DEMO)
    control = compile_site(path, {}).site.control
    assert control.frequency is not None
    assert control.droop is None


@pytest.mark.parametrize(("droop", "said"), [
    ("reserve_s: 120", "control.droop.power_max_w: "),
    ("power_max_w: 101e6, reserve_s: 1", "expected what the batteries together discharge, 100_000_000, at most"),
    ("power_max_w: 60e6, reserve_s: 600",
     "reserve_s: got 600, which keeps 10.42 MWh in and 9.60 MWh free: expected both within what soc_percent leaves"),
    ("power_max_w: 8e6, reserve_s: 120, max_age_ms: 150",
     "max_age_ms: got 150 ms for pcc.frequency_hz, which is read every 100 ms: expected 200 ms or more"),
    ("power_max_w: 8e6, reserve_s: 120, droop_percent: 0", "droop_percent: got 0"),
    ("power_max_w: -8e6, reserve_s: 120", "power_max_w: got -8"),
    ("power_max_w: 8e6, reserve_s: 120, nominal_hz: 50", "nominal_hz"),
])
def test_what_cannot_be_is_refused_with_its_place(droop: str, said: str, tmp_path: Path) -> None:
    """A promise that the batteries cannot keep is found at the desk."""
    with pytest.raises(ConfigError) as caught:
        compiled(tmp_path, droop)
    assert said in str(caught.value)
    assert "site.yaml:" in str(caught.value)


def test_droop_without_a_frequency_is_refused(tmp_path: Path) -> None:
    """It would be unknown for ever, and look switched on."""
    with pytest.raises(ConfigError, match=r"droop: got no control\.frequency: expected the point"):
        compiled(tmp_path, "power_max_w: 8e6, reserve_s: 120", (FREQUENCY, ""))


def test_what_droop_keeps_is_missing_for_the_load(tmp_path: Path) -> None:
    """The demo's batteries are enough for its load range: beside so much droop they are not, which is said."""
    before = compiled(tmp_path, "power_max_w: 8e6, reserve_s: 120, ramp_exempt: false").warnings
    after = compiled(tmp_path, "power_max_w: 30e6, reserve_s: 700").warnings
    assert not [w for w in before if "droop" in w]
    assert any("discharge 70 MW beside droop, less than the swing" in w for w in after)
    assert any("MWh are usable beside droop, less than" in w for w in after)
