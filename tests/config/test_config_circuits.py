"""What hangs on which circuit: what it compiles to, and what is refused with its line."""

from pathlib import Path

import pytest

from pswd_edge.config import Compiled, compile_site
from pswd_edge.errors import ConfigError

DEMO = (Path(__file__).parents[2] / "config" / "demo.yaml").read_text()
RACK_1 = "rack-1: {rating_w: 25_000_000, circuit: hall-a}"
HALL_A = "hall-a:   {parent: utility, rating_w: 70_000_000, meter: feeder-a, name: Hall A}"


def compiled(folder: Path, *changes: tuple[str, str]) -> Compiled:
    text = DEMO
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "site.yaml"
    path.write_text(text)
    return compile_site(path, {})


def test_the_demo_guards_its_grid_connection_and_both_halls(tmp_path: Path) -> None:
    """Children before parents, and everything at any depth below by its place."""
    site = compiled(tmp_path).site
    branches = {b.id: b for b in site.control.branches}
    assert [b.id for b in site.control.branches] == ["hall-a", "hall-b", "cooling", "utility"]
    assert (branches["hall-a"].controllers, branches["hall-b"].controllers) == ((0, 1), (2, 3))
    assert branches["hall-a"].parent == 3
    assert branches["utility"].batteries == (0, 1)
    assert branches["utility"].controllers == (0, 1, 2, 3)
    meter = branches["hall-b"].meter
    assert meter is not None
    assert site.points[meter.point].id == "feeder-b.active_power_w"


def test_a_cap_hangs_where_its_load_controller_hangs(tmp_path: Path) -> None:
    """Said once; an outlet says it itself."""
    branches = {b.id: b for b in compiled(tmp_path).site.control.branches}
    assert branches["hall-b"].tiers == (0, 1)
    assert branches["hall-a"].tiers == (2,)


def test_circuits_that_nothing_hangs_on_are_only_shown(tmp_path: Path) -> None:
    """A site file from before says nothing of it, and is run as before."""
    spec = compiled(tmp_path, (", circuit: utility", ""), (", circuit: hall-a", ""), (", circuit: hall-b", "")).site
    assert spec.control.branches == ()
    assert len(spec.circuits) == 4


def test_what_sums_is_made_of_what_hangs_on_it(tmp_path: Path) -> None:
    """The loads that hang on the branch itself, each once, and the branches below it."""
    row = "row-1: {parent: hall-a, rating_w: 30e6, sums: true}\n  " + HALL_A
    site = compiled(tmp_path, (HALL_A, row), (RACK_1, RACK_1.replace("hall-a", "row-1"))).site
    found = next(b for b in site.control.branches if b.id == "row-1")
    assert [site.points[m.point].id for m in found.loads] == ["rack-1.active_power_w"]
    assert found.sums
    assert found.meter is None


@pytest.mark.parametrize(("change", "said"), [
    ((RACK_1, RACK_1.replace("hall-a", "hall-x")),
     "rack-1.circuit: got 'hall-x': expected one of utility, hall-a, hall-b, cooling"),
    (("revert_s: 12, circuit: utility", "revert_s: 12, circuit: cooling"),
     "charge_w: got 60_000_000: expected the rating of circuit cooling, 25_000_000, at most"),
    (("floor_w: 5_000_000}", "floor_w: 5_000_000, circuit: hall-a}"),
     "circuit: got 'hall-a': expected that of load controller rack-4, 'hall-b', or nothing"),
    (("hall-b:   {parent: utility, rating_w: 70_000_000", "hall-b:   {parent: utility, rating_w: 9_000_000"),
     "hall-b.rating_w: got 9_000_000: expected the floors of the tiers below it, 10_000_000 (throttle-1, throttle-2)"),
    ((HALL_A, HALL_A.replace("meter: feeder-a", "feeds: compute")),
     "hall-a.feeds: got compute without a meter: expected a meter, or nothing"),
    (("meter: pcc, sums", "meter: pcc, feeds: compute, sums"),
     "cooling.feeds: got cooling below utility, which feeds compute: expected it at one of both"),
    (("meter: feeder-a, name", "meter: feeder-a, max_age_ms: 100, name"), "max_age_ms: got 100 ms for a point read"),
])
def test_what_cannot_be_is_refused_with_its_place(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    """Found by `check` at the desk, with both numbers."""
    with pytest.raises(ConfigError) as caught:
        compiled(tmp_path, change)
    assert said in str(caught.value)
    assert "site.yaml:" in str(caught.value)


def test_a_circuit_that_sums_needs_all_below_it_to_be_known(tmp_path: Path) -> None:
    """Else it would be unknown for ever, and nothing below it could ever charge."""
    with pytest.raises(ConfigError, match="cooling, which has neither meter nor sums"):
        compiled(tmp_path, ("rating_w: 140_000_000, meter: pcc", "rating_w: 140_000_000"),
                 ("rating_w: 25_000_000, meter: feeder-cool", "rating_w: 25_000_000"))


def test_a_circuit_that_cannot_be_looked_at_is_a_warning(tmp_path: Path) -> None:
    """It bounds where workloads go; that it is not guarded must be known."""
    warnings = compiled(tmp_path, ("meter: feeder-a, name: Hall A", "name: Hall A")).warnings
    assert any("circuits.hall-a: neither meter nor sums" in w and "site.yaml:" in w for w in warnings)
