"""The 100 ms cycle: its order, its deadlines, what it tells and to whom. Time is fake: nothing here sleeps."""

import asyncio
import math
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import numpy as np
import pytest
from msgspec.structs import replace
from virtual import MW, bad, demo_site, good

from pswd_edge.clock import FakeClock
from pswd_edge.control import cycle as module
from pswd_edge.control.alarm_table import OFF_DELAY_S
from pswd_edge.control.commissioned import Commissioned
from pswd_edge.control.cycle import ControlCycle
from pswd_edge.control.journal import Journal
from pswd_edge.control.ledger import Ledger
from pswd_edge.control.recorder import Recorder
from pswd_edge.control.watched import watched_points
from pswd_edge.image import ImageReader, ImageWriter
from pswd_edge.image.notify import RowBell
from pswd_edge.model.command import (
    Accepted,
    Acknowledge,
    Commission,
    Failed,
    Level,
    Mode,
    Record,
    Rejected,
    SetBatteryTarget,
    SetMode,
    SetPoint,
)
from pswd_edge.model.ports import Columns, SlotState
from pswd_edge.model.report import FieldReport, Report
from pswd_edge.model.site import RecordingSpec, Site
from pswd_edge.model.snapshot import NEVER, Reading, Snapshot, freeze
from pswd_edge.replay.recording import replay


@cache
def site() -> Site:
    return demo_site()


class DoneError(Exception):
    """The test has seen enough cycles."""


class FakeField:
    """A field that answers at once, records what it is told in order, and does what a test wants at a step."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.calls, self.applied = clock, [], []
        self.cycles, self.begun_s, self.deadlines, self.latched = 0, [], [], []
        self.override: dict[int, Reading] = {}
        self.on: dict[str, Callable[[int], None]] = {}
        self.stop_after = 10
        count = len(site().points)
        self._columns = Columns(np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(count, np.uint8),
                                np.zeros(count, np.uint8))

    def _note(self, name: str) -> None:
        self.calls.append(name)
        self.on.get(name, lambda _: None)(self.cycles)

    def begin(self) -> None:
        self.cycles += 1
        self.begun_s.append(self.clock.monotonic_s())
        self._note("begin")

    async def inputs(self, deadline_s: float) -> None:
        self.deadlines.append(deadline_s)
        self.clock.advance(0.004)
        self._note("inputs")

    def latch(self, cycle: int, now_s: float, utc_s: float) -> Snapshot:
        self._note("latch")
        spec = site().control
        self.latched.append(cycle)
        readings = {spec.grid_power.point: good(40 * MW, now_s)}
        for b in spec.batteries:
            power = good(10 * MW, now_s)
            readings |= {b.soc.point: good(70.0, now_s), b.power.point: power, b.setpoint: power}
            readings[b.state] = good(3.0, now_s)
            readings |= {p: good(60 * MW, now_s) for p in (b.charge_limit, b.discharge_limit) if p is not None}
        return freeze(cycle, now_s, utc_s, readings | self.override)

    def apply(self, wanted: Iterable[tuple[int, float | None]], cycle: int, now_s: float) -> None:
        self._note("apply")
        self.applied.append({site().points[p].id: v for p, v in wanted})

    def begin_slow(self, cycle: int) -> None:
        self._note("begin_slow")

    def settle_rest(self, now_s: float) -> None:
        self._note("settle_rest")

    def columns(self) -> Columns:
        self._note("columns")
        return self._columns

    def reading(self, point: int, now_s: float) -> Reading:
        return NEVER

    def slot(self, point: int) -> SlotState:
        return SlotState("verified", None)

    def acknowledged_cycle(self, cycle: int) -> int:
        return cycle

    def report(self, utc_s: float) -> FieldReport:
        return FieldReport(utc_s, (), 0, 0, 0, 0)


class Rig:
    """A cycle on fake time with a real image and a real ledger."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, kept: Commissioned | None = None) -> None:
        self.clock = FakeClock()
        self.late_s: list[float] = []
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=self._sleep))
        self.field, self.journal, self.told = FakeField(self.clock), Journal(self.clock), []
        self.image = ImageWriter(folder / "run", site())
        self.journal.attach(self.image)
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.bell = RowBell(folder / "rows")
        self.cycle = ControlCycle(site(), self.field, self.image, self.journal, self.ledger, self.clock, self.bell,
                                  self._notify, kept)
        self.reader = ImageReader(folder / "run")

    async def _sleep(self, seconds: float) -> None:
        if self.field.cycles == self.field.stop_after:
            raise DoneError
        self.clock.advance(seconds + (self.late_s.pop() if self.late_s else 0.0))
        await asyncio.sleep(0)

    def _notify(self, words: str) -> None:
        self.told.append((self.cycle.completed, words))

    async def run(self, cycles: int) -> Report:
        self.field.stop_after = self.field.cycles + cycles
        with pytest.raises(DoneError):
            await self.cycle.run()
        report = self.reader.report()
        assert report is not None
        return report

    async def ask(self, request) -> object:
        return await self.cycle.handle(request, Level.OPERATOR)

    def mode(self, mode: Mode, name: str = "m1") -> SetMode:
        return SetMode(id=name, origin="console", role="operator", issued_utc_s=self.clock.utc_s(), mode=mode)

    def events(self, code: str) -> list[str]:
        return [e.text for e in self.reader.events(0) if e.code == code]


@pytest.fixture
async def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A site of which nothing was commissioned."""
    made = Rig(tmp_path, monkeypatch, Commissioned(demo_site(require_commissioning=True)))
    await made.cycle.desk.restore()
    yield made
    await made.ledger.close()
    made.bell.close()
    made.reader.close()


@pytest.fixture
async def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = Rig(tmp_path, monkeypatch)
    await made.cycle.desk.restore()
    yield made
    await made.ledger.close()
    made.bell.close()
    made.reader.close()


async def test_a_cycle_goes_input_latch_decide_output_publish(rig: Rig) -> None:
    """The order of the design: set-points leave before the slow reads start, and the image is written last."""
    await rig.run(2)
    assert rig.field.calls == ["begin", "inputs", "latch", "apply", "begin_slow", "settle_rest", "columns"] * 2


async def test_cycles_are_on_absolute_deadlines(rig: Rig) -> None:
    """The time that a cycle takes does not add up: 50 cycles are 5 s."""
    await rig.run(50)
    assert np.diff(rig.field.begun_s) == pytest.approx([0.1] * 49)
    assert rig.cycle.missed == 0


async def test_inputs_may_take_60_percent_of_the_cycle_and_no_more(rig: Rig) -> None:
    """From the deadline on the cycle decides with what it has; a late start leaves less time."""
    rig.field.on["begin"] = lambda k: rig.clock.advance(0.02) if k == 2 else None
    await rig.run(3)
    assert rig.field.deadlines == pytest.approx([0.06, 0.04, 0.06])


async def test_a_stall_is_skipped_counted_and_never_made_up_for(rig: Rig) -> None:
    """350 ms away: three slots are gone, the next cycle is on the old grid, and there is no burst."""
    rig.field.on["latch"] = lambda k: rig.clock.advance(0.35) if k == 5 else None
    report = await rig.run(10)
    gaps = np.diff(rig.field.begun_s)
    assert gaps == pytest.approx([0.1] * 4 + [0.4] + [0.1] * 4)
    assert (rig.cycle.missed, report.cycles_missed, report.cycles) == (3, 3, 10)
    assert rig.field.latched == [1, 2, 3, 4, 5, 9, 10, 11, 12, 13]


async def test_lateness_is_recorded(rig: Rig) -> None:
    """A timer that fires 30 ms late is seen in the report of the next second."""
    rig.late_s = [0.03]
    report = await rig.run(14)
    assert report.late_max_ms == pytest.approx(30, abs=0.1)
    assert report.late_p50_ms < 1
    assert report.rules_p99_ms >= 0


async def test_too_many_overruns_in_a_row_are_the_safe_state(rig: Rig) -> None:
    """A loop that cannot keep its time cannot hold batteries: the alarm says how many cycles were too long."""
    await rig.ask(rig.mode(Mode.AUTO))
    rig.field.on["latch"] = lambda k: rig.clock.advance(0.15) if k >= 5 else None
    report = await rig.run(14)
    assert report.mode is Mode.SAFE
    assert [a.code for a in report.alarms if a.code == "safe_state"] == ["safe_state"]
    assert rig.events("mode")[-1].startswith("AUTO to SAFE, 6 cycles")


async def test_every_cycle_publishes_its_own_report(rig: Rig) -> None:
    """Readers see each decision, not each second's."""
    seen = []
    rig.field.on["begin"] = lambda _: seen.append(r.cycle if (r := rig.reader.report()) else 0)
    report = await rig.run(5)
    assert [*seen, report.cycle] == [0, 1, 2, 3, 4, 5]
    assert (report.load_w, report.grid_w, report.battery_w) == pytest.approx((60 * MW, 40 * MW, 20 * MW))
    assert rig.reader.row_count == 5


async def test_ready_is_said_once_after_the_first_completed_cycle(rig: Rig) -> None:
    """In OBSERVE, whatever the inputs; the watchdog is fed by completed cycles only, once a second."""
    await rig.run(35)
    assert [done for done, _ in rig.told] == [1, 11, 21, 31]
    assert ["READY=1" in words for _, words in rig.told] == [True, False, False, False]
    assert all("WATCHDOG=1" in words for _, words in rig.told)
    assert "STATUS=OBSERVE" in rig.told[0][1]


async def test_a_cycle_that_hangs_feeds_no_watchdog(rig: Rig) -> None:
    """No side task may say that control is alive."""
    def hang(k: int) -> None:
        if k == 1:
            raise DoneError

    rig.field.on["apply"] = hang
    with pytest.raises(DoneError):
        await rig.cycle.run()
    assert rig.told == []
    assert rig.cycle.completed == 0


async def test_a_dead_grid_meter_does_not_keep_control_from_coming_up(rig: Rig) -> None:
    """Never read, its age is infinite: the API that explains it must come up, and the report names it."""
    rig.field.override = {site().control.grid_power.point: NEVER}
    report = await rig.run(15)
    assert "READY=1" in rig.told[0][1]
    assert report.degraded[:3] == ("grid_meter_never_read", "load_meters_unknown", "blind")
    assert report.load_w is None
    assert "grid_meter_never_read" in [a.code for a in report.alarms]


async def test_everything_dead_is_reported_as_unknown_not_as_zero(rig: Rig) -> None:
    """None means not known; nothing is written that was not found."""
    rig.field.override = dict.fromkeys(watched_points(site()), NEVER)
    report = await rig.run(5)
    assert (report.load_w, report.grid_w, report.battery_w, report.energy_wh, report.reference_w) == (None,) * 5
    assert rig.field.applied == [{}] * 5


async def test_auto_comes_by_itself_after_five_good_seconds_and_is_told_once(rig: Rig) -> None:
    """And the first set-points of AUTO are what the batteries did."""
    report = await rig.run(80)
    assert report.mode is Mode.AUTO
    assert rig.events("mode") == ["OBSERVE to AUTO, every control input was good for 5 s"]
    first = next(a for a in rig.field.applied if "bess-1.enable" in a)
    assert first["bess-1.power_setpoint_w"] + first["bess-2.power_setpoint_w"] == pytest.approx(20 * MW, abs=0.02 * MW)


async def test_a_bad_input_keeps_auto_away(rig: Rig) -> None:
    """Five good seconds begin again with every bad one."""
    battery = site().control.batteries[0].soc.point
    rig.field.on["begin"] = lambda k: rig.field.override.update({battery: bad()} if k == 30 else {battery: good(
        70.0, rig.clock.monotonic_s())})
    assert (await rig.run(75)).mode is Mode.OBSERVE
    assert (await rig.run(10)).mode is Mode.AUTO


async def test_a_battery_that_is_small_for_its_range_does_not_keep_auto_away(rig: Rig) -> None:
    """`reserve_insufficient` is a fact about the site, told as an alarm; the inputs are good."""
    spec = site().control
    weak = tuple(replace(b, capacity_wh=0.5e6) for b in spec.batteries)
    small = replace(site(), control=replace(spec, batteries=weak))
    rig.cycle = ControlCycle(small, rig.field, rig.image, rig.journal, rig.ledger, rig.clock, rig.bell, rig._notify)
    report = await rig.run(80)
    assert "reserve_insufficient" in report.degraded
    assert report.mode is Mode.AUTO


async def test_a_request_acts_from_the_cycle_that_it_was_promised(rig: Rig) -> None:
    """A mode from the next cycle; the event says who."""
    await rig.run(3)
    outcome = await rig.ask(rig.mode(Mode.AUTO))
    assert isinstance(outcome, Accepted)
    assert outcome.cycle == 4
    report = await rig.run(1)
    assert (report.cycle, report.mode) == (4, Mode.AUTO)
    assert rig.events("mode") == ["OBSERVE to AUTO, ordered by console"]


async def test_a_request_in_the_middle_of_a_cycle_is_seen_whole_or_not_at_all(rig: Rig) -> None:
    """It lands while the inputs are awaited: bounds, mode and candidates of one decision belong together."""
    await rig.ask(rig.mode(Mode.AUTO))
    await rig.run(2)
    point, asked = "rack-1.power_cap_w", []
    original = rig.field.inputs

    async def inputs(deadline_s: float) -> None:
        await original(deadline_s)
        if not asked:
            asked.append(await rig.ask(SetPoint(id="s", origin="console", role="operator", ttl_s=60, point=point,
                                                issued_utc_s=rig.clock.utc_s(), value=7 * MW)))

    rig.field.inputs = inputs
    await rig.run(2)
    assert isinstance(asked[0], Accepted)
    assert [a[point] for a in rig.field.applied[-2:]] == [7 * MW, 7 * MW]


async def test_a_set_point_ends_with_its_time(rig: Rig) -> None:
    """After 2 s the rating is back, and the end is told once."""
    await rig.ask(rig.mode(Mode.AUTO))
    await rig.run(1)
    await rig.ask(SetPoint(id="s", origin="console", role="operator", ttl_s=2.0, issued_utc_s=rig.clock.utc_s(),
                           point="rack-1.power_cap_w", value=7 * MW))
    await rig.run(40)
    caps = [a["rack-1.power_cap_w"] for a in rig.field.applied[1:]]
    assert caps.count(7 * MW) in {19, 20}
    assert caps[-1] == 25 * MW
    assert rig.events("expired") == ["rack-1.power_cap_w of console expired"]


@pytest.mark.parametrize(("level", "moves"), [(Level.OPERATOR, True), (Level.API, False)])
async def test_manual_follows_the_operator_alone(rig: Rig, level: Level, moves: bool) -> None:
    """A target that an API set in AUTO must not become the operator's word when the mode changes."""
    await rig.ask(rig.mode(Mode.AUTO))
    await rig.run(2)
    target = SetBatteryTarget(id="t", origin="x", role="operator", ttl_s=600, issued_utc_s=rig.clock.utc_s(),
                              power_w=-30 * MW)
    await rig.cycle.handle(target, level)
    await rig.ask(rig.mode(Mode.MANUAL, "m2"))
    report = await rig.run(3)
    assert (report.binding == "manual") is moves


async def test_tier_changes_are_told_once(rig: Rig) -> None:
    """40 MW that nobody can give: tiers go, each with one warning."""
    await rig.ask(rig.mode(Mode.AUTO))
    spec = site().control

    def surge(k: int) -> None:
        now = rig.clock.monotonic_s()
        rig.field.override = {t.power: good(20 * MW, now) for t in spec.tiers}
        if k > 5:
            rig.field.override |= {b.state: good(6.0, now) for b in spec.batteries}
            rig.field.override |= {b.power.point: good(0.0, now) for b in spec.batteries}
            rig.field.override[spec.grid_power.point] = good(60 * MW, now)

    rig.field.on["latch"] = surge
    report = await rig.run(20)
    told = rig.events("tier")
    assert told[0] == "throttle-1: shed, 15.0 MW less"
    assert len(told) == len(set(told)) == sum(t.engaged for t in report.tiers) > 0


async def test_an_alarm_is_told_when_it_begins_and_when_it_ends(rig: Rig) -> None:
    """Not in every cycle in between."""
    point = site().control.grid_power.point
    rig.field.on["begin"] = lambda k: rig.field.override.update({point: bad()}) if k == 5 else (
        rig.field.override.clear() if k == 15 else None)
    await rig.run(20 + round(10 * OFF_DELAY_S))
    assert len(rig.events("grid_meter_unreachable")) == 1
    others = [*rig.events("blind"), *rig.events("circuit_unknown:utility")]
    assert len(rig.events("cleared")) == len(others) + 1


async def test_the_report_s_numbers_are_finite_or_none(rig: Rig) -> None:
    """Clients average them."""
    report = await rig.run(12)
    numbers = [v for v in (getattr(report, f) for f in report.__struct_fields__) if isinstance(v, float)]
    assert numbers
    assert all(math.isfinite(v) for v in numbers)


def test_every_input_of_the_rules_is_watched() -> None:
    """A point that the rules read and the field does not latch would be NEVER for ever."""
    watched, spec = set(watched_points(site())), site().control
    assert {spec.grid_power.point, *(m.point for m in spec.load_meters), *(t.power for t in spec.tiers)} <= watched
    assert {b.meter.point for b in spec.branches} <= watched
    for b in spec.batteries:
        read = {b.soc.point, b.power.point, b.setpoint, b.state, b.charge_limit, b.discharge_limit}
        assert read - {None} <= watched


# --- what was not commissioned ----------------------------------------------------------------------------------------


async def test_auto_writes_nothing_to_what_was_not_commissioned(bare: Rig) -> None:
    """Default deny: AUTO is ordered, and no actuator is touched; the alarm names them, batteries are not usable."""
    await bare.ask(bare.mode(Mode.AUTO))
    report = await bare.run(20)
    assert report.mode is Mode.AUTO
    assert all(not applied for applied in bare.field.applied[2:])
    assert [b.usable for b in report.batteries] == [False, False]
    assert "not_commissioned" in report.degraded
    alarm = next(a for a in report.alarms if a.code == "not_commissioned")
    assert "bess-1 (never), bess-2 (never)" in alarm.message
    assert len(bare.events("not_commissioned")) == 1


async def test_the_alarm_is_there_before_auto_is_ordered(bare: Rig) -> None:
    """`status` in OBSERVE says what AUTO would leave out; the mode itself is not held up by it."""
    report = await bare.run(60)
    assert report.mode is Mode.AUTO  # start_mode: auto
    assert any(a.code == "not_commissioned" for a in report.alarms)


async def test_manual_leads_what_was_not_commissioned(bare: Rig) -> None:
    """Somebody is looking: that is how it is found out whether it works."""
    await bare.ask(bare.mode(Mode.MANUAL))
    await bare.run(5)
    assert bare.field.applied[-1]["bess-1.power_setpoint_w"] is not None


async def test_a_request_for_what_was_not_commissioned_fails(bare: Rig) -> None:
    """An answer "accepted" that writes nothing would be a lie; in MANUAL the same request is taken."""
    await bare.ask(bare.mode(Mode.AUTO))
    await bare.run(3)
    order = SetPoint(id="s1", origin="x", role="operator", issued_utc_s=bare.clock.utc_s(), ttl_s=60.0,
                     point="rack-1.power_cap_w", value=5 * MW)
    outcome = await bare.ask(order)
    assert isinstance(outcome, Failed)
    assert outcome.code == "not_commissioned"
    await bare.ask(bare.mode(Mode.MANUAL, "m2"))
    await bare.run(2)
    assert isinstance(await bare.ask(order), Accepted)


async def test_commissioning_is_not_for_the_gateway_s_socket(bare: Rig) -> None:
    """What faces the network cannot declare an actuator proven."""
    await bare.run(2)
    asked = Commission(id="c1", origin="x", role="admin", issued_utc_s=bare.clock.utc_s(),
                       point="bess-1.power_setpoint_w", action="nudge")
    outcome = await bare.cycle.handle(asked, Level.API)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "forbidden"


async def test_a_trial_reaches_the_field_through_the_arbiter(bare: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """In OBSERVE, bound by the battery's own limits, and let go when it is over."""
    await bare.run(2)
    point = site().control.batteries[0].setpoint
    bare.cycle.commissioning._wanted[point] = 500 * MW
    if bare.cycle._keeper.mode is Mode.AUTO:
        await bare.ask(bare.mode(Mode.OBSERVE, "m3"))
    await bare.run(2)
    assert bare.field.applied[-1]["bess-1.power_setpoint_w"] == 60 * MW
    report = bare.reader.report()
    assert report is not None
    verdict = next(s for s in report.setpoints if s.point == point)
    assert (verdict.winner, verdict.limit) == ("commissioning", "battery")
    bare.cycle.commissioning._wanted.clear()
    monkeypatch.setattr("pswd_edge.control.setpoints.ADOPT_S", -1.0)
    await bare.run(1)
    assert bare.field.applied[-1]["bess-1.power_setpoint_w"] is None


# --- alarms are acknowledged ------------------------------------------------------------------------------------------


async def test_safe_stays_listed_until_it_is_left_and_acknowledged(rig: Rig) -> None:
    """Through the same door as every request; what the answer says holds from the next cycle on."""
    await rig.run(5)
    await rig.ask(rig.mode(Mode.SAFE))
    await rig.run(5)
    await rig.ask(rig.mode(Mode.OBSERVE, "m2"))
    report = await rig.run(20 + round(10 * OFF_DELAY_S))
    [alarm] = [a for a in report.alarms if a.code == "safe_state"]
    assert (alarm.active, alarm.severity) == (False, "critical")
    outcome = await rig.ask(Acknowledge(id="a1", origin="console", role="operator", issued_utc_s=rig.clock.utc_s(),
                                        code="safe_state"))
    assert isinstance(outcome, Accepted)
    report = await rig.run(2)
    assert [a for a in report.alarms if a.code == "safe_state"] == []
    assert rig.events("acknowledged") == ["safe_state: acknowledged by console"]


# --- recording -------------------------------------------------------------------------------------------


def _said(rig: Rig, kind: type, **fields: object) -> object:
    return kind(id=str(uuid4()), origin="console", role="operator", issued_utc_s=rig.clock.utc_s(), **fields)


async def test_what_the_cycle_recorded_is_decided_again_bit_for_bit(rig: Rig, tmp_path: Path) -> None:
    """Requests, modes, a lost meter and held set-points of a real cycle: all that went in is in the file."""
    rig.cycle.recorder = Recorder(tmp_path / "recordings", RecordingSpec(), rig.clock)
    await rig.run(3)
    assert isinstance(await rig.ask(_said(rig, Record, action="start")), Accepted)
    await rig.run(20)
    await rig.ask(rig.mode(Mode.AUTO))
    point = site().control.grid_power.point
    rig.field.on["begin"] = lambda k: rig.field.override.update({point: bad()}) if k == 60 else (
        rig.field.override.clear() if k == 75 else None)
    await rig.run(10)
    await rig.ask(_said(rig, SetBatteryTarget, power_w=8 * MW, ttl_s=3.0))
    await rig.ask(_said(rig, SetPoint, point="rack-1.power_cap_w", value=7 * MW, ttl_s=5.0))
    rig.late_s = [0.23]
    report = await rig.run(70)
    assert report.recording.on
    assert isinstance(await rig.ask(_said(rig, Record, action="stop")), Accepted)
    rig.cycle.recorder.close()
    found = replay(tmp_path / "recordings")
    assert (found.cycles, found.differing, found.faults, found.notes) == (100, 0, (), ())


async def test_recording_is_the_operators(rig: Rig) -> None:
    """And what it is asked for must make sense."""
    assert isinstance(await rig.cycle.handle(_said(rig, Record, action="start"), Level.API), Rejected)
    assert isinstance(await rig.ask(_said(rig, Record, action="begin")), Rejected)
    assert not rig.cycle.recorder.on


async def test_a_tripped_interlock_caps_past_the_operator_until_he_orders_a_mode(rig: Rig) -> None:
    """PROTECTION is above everybody; and what was that hot is looked at before it gets its power back."""
    hot, cap = "cdu-1.return_temperature_c", "rack-1.power_cap_w"
    point = site().point_index[hot]
    told = {"c": 70.0}
    rig.field.on["begin"] = lambda _: rig.field.override.update({point: good(told["c"], rig.clock.monotonic_s())})
    await rig.run(80)
    await rig.ask(SetPoint(id="p", origin="console", role="operator", issued_utc_s=rig.clock.utc_s(), ttl_s=900.0,
                           point=cap, value=25 * MW))
    report = await rig.run(5)
    assert rig.field.applied[-1][cap] == 5 * MW
    assert "over_temperature:hall-a" in [a.code for a in report.alarms]
    told["c"] = 30.0
    await rig.run(1300)
    assert rig.field.applied[-1][cap] == 5 * MW
    await rig.ask(rig.mode(Mode.AUTO))
    await rig.run(10)
    assert rig.field.applied[-1][cap] == 12.5 * MW


async def test_observe_writes_no_cooling(rig: Rig) -> None:
    """To look is not to lead."""
    await rig.run(5)
    assert not [p for a in rig.field.applied for p in a if p.startswith(("cdu", "hx", "chiller"))]


async def test_a_held_cooling_set_point_moves_at_its_rate_and_is_taken_over_without_a_step(rig: Rig) -> None:
    """From what the law wanted, 2 degrees a minute and no quicker, whatever was asked and whoever leads it after."""
    supply = "cdu-1.supply_temperature_setpoint_c"
    await rig.run(1)
    await rig.ask(rig.mode(Mode.AUTO))
    await rig.run(20)
    before = rig.field.applied[-1][supply]
    outcome = await rig.ask(_said(rig, SetPoint, point=supply, value=20.0, ttl_s=60.0, ramp_per_s=9.0))
    assert (outcome.value, outcome.limit) == (25.0, "thermal_limit")
    await rig.run(100)
    values = [a[supply] for a in rig.field.applied[-100:]]
    assert max(abs(np.diff([before, *values]))) <= 1.1 * 2 / 60 / 10
    assert values[79] == pytest.approx(before - 8 * 2 / 60, abs=0.02)
    await rig.run(600)                            # its end, and interlocks that have lost their temperatures meanwhile
    around = [a[supply] for a in rig.field.applied[-600:]]
    assert max(abs(np.diff(around))) <= 1.1 * 2 / 60 / 10
