"""What people are told of droop: the event, the report, the line of `status`, the ledger's entry; and a reload."""

import math
from pathlib import Path

import pytest
import test_cycle
from msgspec.structs import replace
from test_chronicle import Ears
from test_cycle import Rig
from virtual import MW, World, bad, demo_site, good, small_spec

from pswd_edge.commands.sentences import headline
from pswd_edge.commands.status import _lines
from pswd_edge.control.arbiter import Verdict
from pswd_edge.control.chronicle import Chronicle, input_points
from pswd_edge.control.modes import ModeKeeper
from pswd_edge.control.recorder import Recorder
from pswd_edge.control.rules import droop
from pswd_edge.control.rules.law import Decision
from pswd_edge.control.succession import carried_law
from pswd_edge.model.command import Accepted, Mode, Record
from pswd_edge.model.control import DroopSpec
from pswd_edge.model.site import RecordingSpec, Site
from pswd_edge.replay.recording import replay

SPEC = DroopSpec(nominal_hz=50.0, w_per_hz=40 * MW, power_max_w=5 * MW, reserve_s=60.0)


def droop_site() -> Site:
    site = demo_site()
    return replace(site, control=replace(site.control, droop=SPEC))


@pytest.fixture
async def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A cycle of the demo with droop; its frequency is `hz[0]`."""
    site, hz = droop_site(), [50.0]
    monkeypatch.setattr(test_cycle, "site", lambda: site)
    made = Rig(tmp_path, monkeypatch)
    await made.cycle.desk.restore()
    point = site.control.frequency

    def frequency(_: int) -> None:
        made.field.override[point] = bad() if math.isnan(hz[0]) else good(hz[0], made.clock.monotonic_s())

    made.field.on["latch"] = frequency
    made.hz = hz
    yield made
    await made.ledger.close()
    made.bell.close()
    made.reader.close()


async def test_an_excursion_is_told_once_and_its_end_too(rig: Rig) -> None:
    """The frequency crosses the edge of its band many times; people hear of an excursion."""
    await rig.ask(rig.mode(Mode.AUTO))
    await rig.run(20)
    for _ in range(3):
        rig.hz[0] = 49.914
        report = await rig.run(10)
        rig.hz[0] = 50.0
        await rig.run(10)
    assert report.droop_w == pytest.approx(2 * MW)
    assert report.frequency_hz == 49.914
    assert rig.events("droop") == ["49.914 Hz, batteries give 2.00 MW"]
    await rig.run(round(10 * droop.CALM_S))
    assert rig.events("droop")[1:] == ["over: within the deadband for 60 s, or not known"]


async def test_an_excursion_that_nobody_answers_is_told_too(rig: Rig) -> None:
    """In OBSERVE the grid gets nothing: people should know that it asked."""
    rig.hz[0] = 49.8
    await rig.run(5)
    assert rig.events("droop") == ["49.800 Hz, not answered"]


async def test_status_says_what_is_given_and_at_which_frequency(rig: Rig) -> None:
    """A grid that has less than its reference wants a reason; a frequency that is not known is no 0."""
    await rig.ask(rig.mode(Mode.AUTO))
    rig.hz[0] = 50.136
    report = await rig.run(20)
    lines = list(_lines(droop_site(), report, None, 0.0))
    assert "droop: -4.00 MW at 50.136 Hz" in lines
    rig.hz[0] = math.nan
    report = await rig.run(5)
    assert report.frequency_hz is None
    assert any(line.startswith("droop: -3.9") and line.endswith("frequency not known")
               for line in _lines(droop_site(), report, None, 0.0))
    assert [a.code for a in report.alarms if a.code == "frequency_unknown"] == ["frequency_unknown"]


async def test_a_site_without_droop_has_no_line_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is not 0 MW."""
    made = Rig(tmp_path, monkeypatch)
    report = await made.run(5)
    assert report.droop_w is None
    assert not [line for line in _lines(demo_site(), report, None, 0.0) if "droop" in line]
    await made.ledger.close()
    made.bell.close()
    made.reader.close()


async def test_a_recorded_excursion_is_decided_again_bit_for_bit(rig: Rig, tmp_path: Path) -> None:
    """What the rule remembers of the frequency, a gap in it included, is part of the state that is kept."""
    rig.cycle.recorder = Recorder(tmp_path / "recordings", RecordingSpec(), rig.clock)
    await rig.ask(rig.mode(Mode.AUTO))
    rig.hz[0] = 49.9
    await rig.run(10)
    rig.hz[0] = math.nan
    await rig.run(2)
    start = Record(id="r1", origin="console", role="operator", issued_utc_s=rig.clock.utc_s(), action="start")
    assert isinstance(await rig.ask(start), Accepted)
    for hz in (math.nan, 49.8, 50.3, 50.0):
        rig.hz[0] = hz
        await rig.run(10)
    rig.cycle.recorder.close()
    found = replay(tmp_path / "recordings")
    assert (found.cycles, found.differing, found.faults, found.notes) == (40, 0, (), ())


FREQUENCY = 90
SMALL = small_spec(frequency=FREQUENCY, droop=SPEC)
SITE = replace(demo_site(), control=SMALL)


def stepped(world: World, hz: float) -> Decision:
    world.override[FREQUENCY] = good(hz, world.time_s)
    return world.step()


def test_the_ledger_has_its_begin_and_its_end_with_the_frequency() -> None:
    """The utility asks later why the ramp was broken: the entry has the frequency that asked for it."""
    world, ears, keeper = World(SMALL, 60 * MW), Ears(), ModeKeeper("auto", 5.0)
    chronicle = Chronicle(SITE, ears)  # type: ignore[arg-type]
    for cycle in range(900):
        decision = stepped(world, 49.8 if 300 <= cycle < 600 else 50.0)
        snapshot = world.snapshot()
        chronicle.note(snapshot, decision, world.state, [Verdict(12, 1.0, "law", 5, "", ())], keeper)
    given = [b["droop_w"] for b in ears.of("site")]
    changes = [w for w, before in zip(given, [0.0, *given], strict=False) if (w == 0) is not (before == 0)]
    assert changes == [pytest.approx(5 * MW), 0.0]
    begin = next(b for b in ears.of("site") if b["droop_w"])
    assert begin["inputs"][SITE.points[FREQUENCY].id][0] == 49.8
    assert "; droop 5.00 MW" in headline(begin)
    assert FREQUENCY not in input_points(replace(SMALL, droop=None))


def test_droop_that_a_reload_takes_away_makes_no_step() -> None:
    """The batteries give it now; the new site's reference begins where the grid is."""
    world = World(SMALL, 60 * MW)
    for _ in range(100):
        stepped(world, 49.8)
    before_w = world.grid_w
    after = replace(SITE, control=replace(SMALL, droop=None))
    world.state, world.spec = carried_law(SITE, after, world.state), after.control
    for _ in range(3):
        stepped(world, 49.8)
    assert world.grid_w == pytest.approx(before_w, abs=0.1 * MW)


def test_a_reload_that_keeps_droop_keeps_its_state() -> None:
    """Another change of the site file in mid-excursion is none of droop's business."""
    world = World(SMALL, 60 * MW)
    for _ in range(100):
        stepped(world, 49.8)
    after = replace(SITE, control=replace(SMALL, target_time_s=90.0))
    assert carried_law(SITE, after, world.state).droop == world.state.droop
