"""The load out of several meters: one moment, no invented load, and what is wrong by its name."""

import math

import pytest
from msgspec.structs import replace
from virtual import FIRST_S, GRID, LOAD, MW, bad, battery_spec, good, small_spec

from pswd_edge.control.rules.estimate import Estimate, Memory, at_time, estimate
from pswd_edge.model.control import ControlSpec, Input
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.snapshot import Reading, freeze

ONE = small_spec(batteries=(battery_spec(1),))
POWER = ONE.batteries[0].power.point


class Watcher:
    """Feeds the estimate cycle by cycle; the battery and the load are functions of time."""

    def __init__(self, spec: ControlSpec = ONE, *, battery=lambda t: 0.0, load=lambda t: 50 * MW) -> None:
        self.spec, self.battery, self.load, self.memory, self.k = spec, battery, load, Memory(), 0
        self.unchanged, self.last_w = 0, math.nan

    def step(self, *, grid_s: float = 0.0, battery_s: float = 0.0, **override: Reading) -> Estimate:
        """One cycle; the meters answer so long after its start."""
        start = FIRST_S + self.k / 10
        now, at, at_b = start + 0.06, start + grid_s, start + battery_s
        value = self.load(at) - self.battery(at)
        self.unchanged = self.unchanged + 1 if value == self.last_w else 0
        self.last_w = value
        readings = {GRID: good(value, at, now, self.unchanged), POWER: good(self.battery(at_b), at_b, now),
                    LOAD: good(self.load(start), start, now)}
        for name, reading in override.items():
            readings[{"grid": GRID, "power": POWER, "load": LOAD}[name]] = reading
        self.k += 1
        found, self.memory = estimate(self.spec, freeze(self.k, now, now, readings), self.memory)
        return found


def ramping(t: float) -> float:
    """5 MW a cycle."""
    return 50 * MW * (t - FIRST_S)


def test_load_is_grid_plus_battery() -> None:
    """The sign convention, in one number."""
    found = Watcher(battery=lambda t: 12 * MW).step()
    assert found == Estimate(50 * MW, 38 * MW, 12 * MW, "grid", (), found.moment_s)


@pytest.mark.parametrize(("grid_s", "battery_s"), [(0.03, 0.0), (0.0, 0.03), (0.0, 0.0), (0.01, 0.05)])
def test_a_battery_that_moves_makes_no_load(grid_s: float, battery_s: float) -> None:
    """5 MW a cycle and 30 ms between the answers are 1.5 MW of load that is not there, and a loop through it."""
    watcher = Watcher(battery=ramping)
    watcher.step(grid_s=grid_s, battery_s=battery_s)
    for _ in range(5):
        assert watcher.step(grid_s=grid_s, battery_s=battery_s).load_w == pytest.approx(50 * MW, abs=1.0)


def test_a_meter_that_says_how_late_it_is_is_put_where_it_belongs() -> None:
    """Half an averaging window: the value belongs to a time before the answer."""
    slow = replace(ONE, grid_power=Input(GRID, 500, 40.0))
    watcher = Watcher(slow, battery=ramping)
    start = FIRST_S
    for _ in range(6):
        now = start + watcher.k / 10
        value = 50 * MW - ramping(now - 0.04)
        found = watcher.step(grid=good(value, now, now + 0.06))
    assert found.load_w == pytest.approx(50 * MW, abs=1.0)


def test_a_meter_that_renews_once_a_second_is_put_where_its_content_belongs() -> None:
    """Scenario 19: polled at 100 ms it repeats itself nine times; with the battery of now the sum would be wrong."""
    watcher, shown, unchanged = Watcher(battery=lambda t: ramping(t) / 50), 0.0, 0
    for k in range(100):
        now = FIRST_S + k / 10
        unchanged = 0 if k % 10 == 0 else unchanged + 1
        shown = 50 * MW - ramping(now) / 50 if k % 10 == 0 else shown
        found = watcher.step(grid=good(shown, now, now, unchanged))
        assert k < 50 or found.load_w == pytest.approx(50 * MW, abs=1.0), k
    assert now - found.moment_s == pytest.approx(0.9)


def test_grid_load_and_battery_of_one_estimate_belong_together() -> None:
    """Clients add them up."""
    watcher = Watcher(battery=ramping)
    for _ in range(4):
        found = watcher.step(grid_s=0.03)
        assert found.load_w == pytest.approx(found.grid_w + found.battery_w)


def test_a_battery_that_answers_late_makes_the_load_a_cycle_old_at_most() -> None:
    """A slow battery must not slow the whole loop: from a cycle on its last answer is held."""
    watcher = Watcher(load=lambda t: 50 * MW if t < FIRST_S + 0.95 else 70 * MW)
    held = good(0.0, FIRST_S + 0.7)
    powers = [good(0.0, FIRST_S + k / 10) if k < 8 else held._replace(age_s=0.3) for k in range(12)]
    seen = [watcher.step(power=p).load_w for p in powers]
    assert seen[9] == 50 * MW
    assert seen[11] == 70 * MW


def test_a_stale_grid_meter_is_replaced_by_the_load_meters() -> None:
    """Row 1 of the degraded modes: at 0.4 s still good, at 0.6 s not."""
    watcher = Watcher(battery=lambda t: 10 * MW)
    late = watcher.step(grid=good(40 * MW, FIRST_S - 0.4, FIRST_S))
    assert (late.source, late.degraded) == ("grid", ())
    stale = watcher.step(grid=good(40 * MW, FIRST_S - 0.5, FIRST_S + 0.1))
    assert stale == Estimate(50 * MW, 40 * MW, 10 * MW, "meters", ("grid_meter_stale",))


@pytest.mark.parametrize(("reading", "name"), [
    (bad(Reason.UNREACHABLE), "grid_meter_unreachable"),
    (bad(Reason.FROZEN), "grid_meter_frozen"),
    (bad(Reason.SENTINEL), "grid_meter_sentinel"),
    (Reading(40 * MW, Quality.BAD, Reason.STALE, 0.0, FIRST_S), "grid_meter_stale"),
    (Reading(40 * MW, Quality.BAD, Reason.DEVICE, 0.0, FIRST_S), "grid_meter_device"),
    (good(math.nan, FIRST_S), "grid_meter_not_a_number"),
    (good(-math.inf, FIRST_S), "grid_meter_not_a_number"),
    (good(181 * MW, FIRST_S), "grid_meter_implausible"),
    (good(-181 * MW, FIRST_S), "grid_meter_implausible"),
])
def test_each_way_to_be_wrong_has_its_name_and_never_reaches_the_load(reading: Reading, name: str) -> None:
    """The operator reads the name; the law reads the load meters."""
    found = Watcher().step(grid=reading)
    assert (found.source, found.degraded, found.load_w) == ("meters", (name,), 50 * MW)


def test_an_uncertain_value_is_still_used() -> None:
    """Last usable value: its age decides, not the word."""
    uncertain = Reading(40 * MW, Quality.UNCERTAIN, Reason.STALE, 0.3, FIRST_S)
    assert Watcher().step(grid=uncertain).source == "grid"


def test_part_of_a_load_is_no_load() -> None:
    """With one load meter missing as well, the load is not known: not 0, not the sum of the others."""
    two = replace(ONE, load_meters=(Input(LOAD), Input(77)))
    found = Watcher(two).step(grid=bad())
    assert found.source == "none"
    assert math.isnan(found.load_w)
    assert math.isnan(found.grid_w)


def test_an_unknown_battery_power_is_not_zero() -> None:
    """A battery that does not answer may be running: grid + 0 would be a wrong load."""
    found = Watcher().step(power=bad())
    assert (found.source, found.load_w, found.degraded) == ("meters", 50 * MW, ("battery_power_unknown",))
    assert found.grid_w == 50 * MW
    assert math.isnan(found.battery_w)


def frozen_after(cycles: int, battery, *, frozen_from: int = 3) -> list[Estimate]:
    """A meter that repeats one value from some cycle on, while the battery does what it does."""
    watcher, found = Watcher(battery=battery), []
    for k in range(cycles):
        now = FIRST_S + k / 10
        stuck = good(40 * MW, now, now, max(0, k - frozen_from))
        found.append(watcher.step(grid=stuck) if k >= frozen_from else watcher.step())
    return found


def test_a_flat_load_with_the_battery_at_rest_is_not_frozen() -> None:
    """A night without jobs repeats its value for hours."""
    assert {e.source for e in frozen_after(200, lambda t: 5 * MW)} == {"grid"}


def test_a_meter_that_does_not_see_the_battery_move_is_frozen() -> None:
    """20 equal answers while the battery moves by over 1 % of its rating."""
    found = frozen_after(60, lambda t: 1 * MW * (t - FIRST_S))
    assert {e.source for e in found[:23]} == {"grid"}
    assert {(e.source, *e.degraded) for e in found[24:]} == {("meters", "grid_meter_frozen")}


def test_a_frozen_meter_stays_frozen_when_the_battery_comes_back() -> None:
    """Else the estimate would flicker between a dead meter and a live sum while the battery swings."""
    found = frozen_after(100, lambda t: 5 * MW * math.sin(t - FIRST_S))
    assert {e.source for e in found[40:]} == {"meters"}


def test_a_meter_that_changes_again_is_believed_again() -> None:
    """Recovery needs one new value."""
    watcher = Watcher(battery=lambda t: 1 * MW * (t - FIRST_S))
    for k in range(40):
        found = watcher.step(grid=good(40 * MW, FIRST_S + k / 10, unchanged=k))
    assert found.source == "meters"
    watcher.battery = lambda t: 4 * MW
    for k in range(60):   # and what the batteries did before counts no more
        assert watcher.step(grid=good(41 * MW, FIRST_S + 4.0 + k / 10, unchanged=k)).source == "grid"


def test_values_between_samples_are_interpolated_and_outside_held() -> None:
    """The history's own arithmetic."""
    history = ((1.0, 10.0), (2.0, 20.0), (3.0, 0.0))
    assert [at_time(history, t) for t in (0.0, 1.0, 1.5, 2.25, 3.0, 9.0)] == [10.0, 10.0, 15.0, 15.0, 0.0, 0.0]
    assert math.isnan(at_time((), 1.0))


def test_a_site_without_batteries_reads_its_grid_meter() -> None:
    """The sum of no batteries is 0, not unknown."""
    bare = replace(ONE, batteries=())
    found, _ = estimate(bare, freeze(1, FIRST_S, FIRST_S, {GRID: good(40 * MW, FIRST_S)}), Memory())
    assert found == Estimate(40 * MW, 40 * MW, 0.0, "grid", (), FIRST_S, load_meters_known=False)
