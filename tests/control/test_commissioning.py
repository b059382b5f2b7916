"""Commissioning: a point is tried, seen, put back and written down; or it is not, and nothing is written down.

A small device model on fake time stands for the field: a battery that follows its set-point when it is enabled, a grid
meter, a cap, an outlet.
"""

import asyncio
import math
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from msgspec.structs import replace
from virtual import MW, demo_site

from pswd_edge.clock import FakeClock
from pswd_edge.control import stage
from pswd_edge.control.arbiter import arbitrate
from pswd_edge.control.commissioned import FILE, Commissioned, led_points, read_records
from pswd_edge.control.commissioning import Commissioning
from pswd_edge.control.journal import Journal
from pswd_edge.control.rules import law
from pswd_edge.model.command import Accepted, Commission, Failed, Level, Mode, Outcome, Rejected
from pswd_edge.model.ports import SlotState
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.snapshot import Reading, freeze

SITE = demo_site(require_commissioning=True)
SPEC = SITE.control
BESS = SPEC.batteries[0]
SETPOINT = SITE.points[BESS.setpoint].id
CAP = SITE.point_index["rack-1.power_cap_w"]
RACK_W = SITE.point_index["rack-1.active_power_w"]
COMMAND = SITE.point_index["pdu-1.outlet_command[1]"]
STATE = SITE.point_index["pdu-1.outlet_state[1]"]
_ids = count(1)


class Rig:
    """Commissioning, its site's devices and their time: each sleep is a cycle."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.mode, self.now_s = FakeClock(), Mode.OBSERVE, 0.0
        self.values = {p.index: 0.0 for p in SITE.points} | {
            SPEC.grid_power.point: 40 * MW, CAP: 25 * MW, RACK_W: 20 * MW, STATE: 2.0, BESS.soc.point: 60.0,
            BESS.state or 0: float(BESS.available_states[0])}
        self.bad: set[int] = set()
        self.slots: dict[int, SlotState] = {}
        self.written: list[tuple[str, float]] = []
        self.load_w, self.noise_w, self.follows, self.grid_sign = 40 * MW, 0.0, 1.0, -1.0
        self.rehearsal = ""
        self.refuses: set[int] = set()
        self.at_cycle: Callable[[], object] = lambda: None
        self.path = folder / FILE
        self.kept = Commissioned(SITE, self.path)
        self.journal = Journal(self.clock)
        self.desk = Commissioning(SITE, self, self.clock, self.journal, self.kept, lambda: self.mode,  # type: ignore[arg-type]
                                  self.decision)
        monkeypatch.setattr(stage.asyncio, "sleep", self._sleep)
        self._real_sleep = asyncio.sleep

    # --- the field --------------------------------------------------------------------------------------------------

    def reading(self, point: int, now_s: float) -> Reading:
        good = point not in self.bad
        value, quality = (self.values[point], Quality.GOOD) if good else (math.nan, Quality.BAD)
        return Reading(value, quality, Reason.NONE, 0.0, now_s)

    def slot(self, point: int) -> SlotState:
        return self.slots.get(point, SlotState("idle", None))

    def clear(self, point: int, who: str) -> bool:
        return point == COMMAND

    def rehearse(self, point: int, done: Callable[[str], None]) -> None:
        done(self.rehearsal)

    # --- the devices ------------------------------------------------------------------------------------------------

    async def _sleep(self, seconds: float) -> None:
        self.clock.advance(max(seconds, 0.001))
        self.cycle()
        self.at_cycle()
        await self._yield()

    async def _yield(self) -> None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, None)
        await future

    def cycle(self) -> None:
        candidates = self.desk.candidates(self.clock.monotonic_s())
        for point in {c.point for c in candidates}:
            value = arbitrate(point, candidates, ()).value
            assert value is not None
            self.take(point, value)
        for point in set(self.slots) - {c.point for c in candidates}:
            del self.slots[point]
        if self.values[BESS.enable or 0] >= 1:
            self.values[BESS.power.point] = self.follows * self.values[BESS.setpoint]
        else:
            self.values[BESS.power.point] = 0.0
        self.noise_w = -self.noise_w
        battery_w = self.grid_sign * self.values[BESS.power.point]
        self.values[SPEC.grid_power.point] = self.load_w + battery_w + self.noise_w

    def take(self, point: int, value: float) -> None:
        if point in self.refuses:
            self.slots[point] = SlotState("refused", None)
            return
        rule = SITE.points[point].write
        assert rule is not None
        if self.slot(point).written != value:
            self.written.append((SITE.points[point].id, value))
        if rule.read_back is not None:
            self.values[rule.read_back] = float(rule.read_back_values.get(round(value), value))
        self.slots[point] = SlotState("acknowledged" if rule.read_back is None else "verified", value)

    def decision(self) -> law.Decision:
        now = self.clock.monotonic_s()
        readings = {i: self.reading(i, now) for i in self.values}
        orders = law.Orders(Mode.OBSERVE, SPEC.load_ceiling_w)
        return law.cycle(SPEC, law.start(SPEC), freeze(1, now, now, readings), orders, 0.1)[1]

    # --- asking -----------------------------------------------------------------------------------------------------

    async def ask(self, point: str, action: str = "nudge", level: Level = Level.OPERATOR, **more: object) -> Outcome:
        request = Commission(**{"id": f"c{next(_ids)}", "origin": "operator:ada", "role": "operator",
                                "issued_utc_s": self.clock.utc_s(), "point": point, "action": action} | more)
        return await self.desk.handle(request, level)

    def events(self) -> list[str]:
        return [e.code for e in self.journal._waiting]


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(tmp_path, monkeypatch)


def moves(rig: Rig, point: str = SETPOINT) -> list[float]:
    return [v / MW for p, v in rig.written if p == point]


async def test_a_battery_is_moved_by_one_percent_seen_twice_and_put_back(rig: Rig) -> None:
    """1.2 of 120 MW, on its own meter and at the grid; disabled before, disabled after."""
    outcome = await rig.ask(SETPOINT)
    assert isinstance(outcome, Accepted), outcome
    assert moves(rig) == [0.0, 1.2, 0.0]
    assert (rig.values[BESS.enable or 0], rig.values[BESS.power.point]) == (0.0, 0.0)
    trial = outcome.trial
    assert trial is not None
    assert (trial.before, trial.asked, trial.shown, trial.meter_after) == (0.0, 1.2 * MW, 1.2 * MW, 1.2 * MW)
    assert trial.grid_change_w == pytest.approx(-1.2 * MW)
    assert trial.points == tuple(SITE.points[p].id for p in led_points(BESS))
    assert rig.desk.candidates(0.0) == []


async def test_what_was_seen_is_on_disk_and_unbars_the_battery(rig: Rig) -> None:
    """Who, when, how, and what the points were then; the alarm no longer names it."""
    rig.mode = Mode.AUTO
    assert BESS.setpoint in rig.desk.bars()
    rig.mode = Mode.OBSERVE
    began_utc_s = rig.clock.utc_s()
    await rig.ask(SETPOINT)
    record = read_records(rig.path)[SETPOINT]
    assert (record.who, record.how, record.facts["map"]) == ("operator:ada", "nudge", "sunspec-bess-7xx")
    assert began_utc_s <= record.utc_s <= rig.clock.utc_s()
    rig.mode = Mode.AUTO
    assert not rig.desk.bars().intersection(led_points(BESS))
    assert "bess-1" not in rig.kept.message
    assert "bess-2" in rig.kept.message
    assert rig.events() == ["commissioned"]


async def test_safe_bars_what_auto_bars_but_takes_back_what_manual_led(rig: Rig) -> None:
    """A loop that falls into SAFE begins to lead nothing new; a battery that MANUAL leads must be brought to zero."""
    barred = rig.kept.barred
    seen = []
    for mode in (Mode.OBSERVE, Mode.SAFE, Mode.AUTO, Mode.SAFE, Mode.MANUAL, Mode.SAFE, Mode.SAFE, Mode.OBSERVE):
        rig.mode = mode
        seen.append(rig.desk.bars())
    assert seen == [set(), barred, barred, barred, set(), set(), set(), set()]


async def test_a_point_that_may_be_written_rarely_is_waited_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chiller takes a write every three minutes: the value must also be put back, so the trial waits."""
    point = SITE.point_index["hx-1.supply_temperature_setpoint_c"]
    rig.values[point], rule = 60.0, SITE.points[point].write
    assert rule is not None
    taken_s, take = [-math.inf], rig.take

    def rarely(index: int, value: float) -> None:
        now_s = rig.clock.monotonic_s()
        if rig.slot(index).written == value or now_s - taken_s[0] >= 180.0:
            taken_s[0] = now_s
            take(index, value)

    monkeypatch.setattr(rig, "take", rarely)
    monkeypatch.setattr(stage.Stage, "rule", lambda self, i: (SITE.points[i], replace(rule, min_interval_s=180.0)))
    assert isinstance(await rig.ask("hx-1.supply_temperature_setpoint_c"), Accepted)
    assert [v for _, v in rig.written] == [61.0, 60.0]


async def test_the_revert_time_is_written_before_the_set_point_and_enable_last(rig: Rig) -> None:
    """In the order that is safe, also at night."""
    await rig.ask(SETPOINT)
    first = list(dict.fromkeys(p for p, _ in rig.written))
    names = [f"bess-1.{s}" for s in ("revert_timeout_s", "setpoint_mode", "power_setpoint_w", "enable", "heartbeat")]
    assert first == names


async def test_a_battery_that_runs_is_moved_from_where_it_is(rig: Rig) -> None:
    """It was enabled at 10 MW: it ends enabled at 10 MW, without a step in between."""
    rig.values |= {BESS.enable: 1.0, BESS.setpoint: 10 * MW, BESS.power.point: 10 * MW}
    assert isinstance(await rig.ask(SETPOINT), Accepted)
    assert moves(rig) == [10.0, 11.2, 10.0]
    assert rig.values[BESS.enable or 0] == 1.0


async def test_a_stale_set_point_of_a_disabled_battery_is_no_step(rig: Rig) -> None:
    """20 MW stand in the register from last week: the battery is enabled at what it does, 0, and 20 are put back."""
    rig.values |= {BESS.enable: 0.0, BESS.setpoint: 20 * MW}
    assert isinstance(await rig.ask(SETPOINT), Accepted)
    assert moves(rig) == [0.0, 1.2, 0.0, 20.0]
    assert rig.values[BESS.power.point] == 0.0


async def test_a_battery_at_its_limit_is_moved_the_other_way(rig: Rig) -> None:
    """It is empty: it is charged a little."""
    rig.values[BESS.soc.point] = BESS.soc_min_percent
    assert isinstance(await rig.ask(SETPOINT), Accepted)
    assert moves(rig) == [0.0, -1.2, 0.0]


@pytest.mark.parametrize("follows", [0.0, -1.0, 0.3])
async def test_a_battery_whose_meter_does_not_follow_is_not_recorded(rig: Rig, follows: float) -> None:
    """Not at all, the wrong way, or not by half: and it is put back all the same."""
    rig.follows = follows
    outcome = await rig.ask(SETPOINT)
    assert isinstance(outcome, Failed)
    assert outcome.code == "not_seen"
    assert "its meter moved from 0 to" in outcome.reason
    assert not rig.path.exists()
    assert moves(rig)[-1] == 0.0
    assert rig.values[BESS.enable or 0] == 0.0
    assert rig.events() == ["commission_failed"]


async def test_a_grid_that_moves_the_wrong_way_shows_a_double_mistake_of_sign(rig: Rig) -> None:
    """Set-point and power both upside down agree with each other; only the grid meter tells."""
    rig.grid_sign = 1.0
    outcome = await rig.ask(SETPOINT)
    assert isinstance(outcome, Failed)
    assert "the wrong way" in outcome.reason


async def test_a_restless_load_is_no_proof_and_no_accusation(rig: Rig) -> None:
    """5 MW of swing hide 1.2 MW: the battery's own meter decides."""
    rig.noise_w, rig.grid_sign = 5 * MW, 1.0
    outcome = await rig.ask(SETPOINT)
    assert isinstance(outcome, Accepted)
    assert "too restless" in outcome.reason
    assert outcome.trial is not None
    assert outcome.trial.grid_change_w is None


async def test_a_revert_time_that_is_refused_ends_it_before_anything_moves(rig: Rig) -> None:
    """The set-point is never reached."""
    rig.refuses.add(BESS.revert_timeout or 0)
    outcome = await rig.ask(SETPOINT)
    assert isinstance(outcome, Failed)
    assert "bess-1.revert_timeout_s" in outcome.reason
    assert 1.2 not in moves(rig)


async def test_a_lost_battery_is_not_tried(rig: Rig) -> None:
    """Its state takes no set-point, or its power is not known."""
    rig.bad.add(BESS.soc.point)
    outcome = await rig.ask(SETPOINT)
    assert isinstance(outcome, Failed)
    assert "cannot be used" in outcome.reason
    assert rig.written == []


async def test_a_mode_that_changes_meanwhile_breaks_it_off(rig: Rig) -> None:
    """Somebody orders AUTO in the middle: from that cycle on nothing of it is written."""
    def order() -> None:
        if len(moves(rig)) == 2:
            rig.mode = Mode.AUTO

    rig.at_cycle = order
    outcome = await rig.ask(SETPOINT)
    assert isinstance(outcome, Failed)
    assert "the mode changed" in outcome.reason
    assert moves(rig) == [0.0, 1.2]
    assert rig.desk.candidates(0.0) == []


async def test_a_cap_goes_down_and_up_again(rig: Rig) -> None:
    """The safe direction, 1 % of the rating, and the rack keeps below it."""
    outcome = await rig.ask("rack-1.power_cap_w")
    assert isinstance(outcome, Accepted)
    assert moves(rig, "rack-1.power_cap_w") == [24.75, 25.0]
    assert "keeps below" in outcome.reason


async def test_a_move_is_never_large_beside_what_the_device_holds(rig: Rig) -> None:
    """The map lets write up to a million L/min; at 1,000 a move of 10,000 would be a flood."""
    flow = SITE.point_index["hx-1.flow_setpoint_lpm"]
    rig.values[flow] = 1000.0
    outcome = await rig.ask("hx-1.flow_setpoint_lpm")
    assert isinstance(outcome, Failed)
    assert "too small to be told apart" in outcome.reason
    assert rig.written == []
    outcome = await rig.ask("hx-1.flow_setpoint_lpm", "operate")
    assert isinstance(outcome, Accepted)
    assert rig.written == [("hx-1.flow_setpoint_lpm", 1000.0)]


async def test_an_outlet_is_only_read_and_selected(rig: Rig) -> None:
    """The default of everything disruptive: nothing is switched."""
    outcome = await rig.ask("pdu-1.outlet_command[1]", "dry_run")
    assert isinstance(outcome, Accepted)
    assert rig.written == []
    assert read_records(rig.path)["pdu-1.outlet_command[1]"].how == "dry_run"
    rig.rehearsal = "its state is not known"
    assert isinstance(await rig.ask("pdu-1.outlet_command[1]", "dry_run"), Failed)


async def test_an_outlet_is_switched_and_back_where_that_is_asked_for(rig: Rig) -> None:
    """On (it shows 2) to off and on again, each confirmed."""
    outcome = await rig.ask("pdu-1.outlet_command[1]", "operate")
    assert isinstance(outcome, Accepted)
    assert [v for _, v in rig.written] == [2.0, 1.0]
    assert rig.values[STATE] == 2.0


@pytest.mark.parametrize(("more", "kind", "code"), [
    ({"point": "bess-1.power_w"}, Rejected, "not_found"), ({"point": "no.such"}, Rejected, "not_found"),
    ({"action": "wiggle"}, Rejected, "invalid"), ({"percent": 1.5}, Rejected, "invalid"),
    ({"percent": 0.0}, Rejected, "invalid"), ({"percent": math.nan}, Rejected, "invalid"),
    ({"issued_utc_s": 0.0}, Rejected, "expired"), ({"level": Level.API}, Rejected, "forbidden"),
    ({"origin": ""}, Rejected, "malformed"), ({"action": "clear"}, Rejected, "conflict")])
async def test_what_cannot_be_tried_is_refused(rig: Rig, more: dict[str, object], kind: type, code: str) -> None:
    """As every request: form, age, authority; nothing is written."""
    outcome = await rig.ask(**({"point": SETPOINT} | more))  # type: ignore[arg-type]
    assert isinstance(outcome, kind)
    assert outcome.code == code  # type: ignore[attr-defined]
    assert rig.written == []


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.SAFE])
async def test_it_needs_observe_or_manual(rig: Rig, mode: Mode) -> None:
    """While the law leads nobody else does."""
    rig.mode = mode
    outcome = await rig.ask(SETPOINT)
    assert isinstance(outcome, Failed)
    assert outcome.code == "not_ready"


async def test_a_latched_outlet_is_cleared_through_it(rig: Rig) -> None:
    """`pswd-edge commission pdu-1 --clear`."""
    assert isinstance(await rig.ask("pdu-1.outlet_command[1]", "clear"), Accepted)


async def test_one_at_a_time_and_the_same_id_gets_the_first_outcome(rig: Rig) -> None:
    """Two engineers, one battery; and a client that lost its answer asks again."""
    first = asyncio.create_task(rig.ask(SETPOINT, id="night-1"))
    await rig._yield()
    await rig._yield()
    busy = await rig.ask("rack-1.power_cap_w")
    assert isinstance(busy, Failed)
    assert busy.code == "busy"
    outcome = await first
    assert await rig.ask(SETPOINT, id="night-1") is outcome
    assert moves(rig) == [0.0, 1.2, 0.0]


async def test_a_disk_that_is_full_is_no_record(rig: Rig) -> None:
    """Tried and seen, but what is not on disk does not count."""
    rig.path.parent.rmdir()
    rig.path.parent.write_text("in the way")
    outcome = await rig.ask("rack-1.power_cap_w")
    assert isinstance(outcome, Failed)
    assert outcome.code == "record"
    assert "rack-1.power_cap_w" not in rig.kept.records


async def test_a_stop_of_control_breaks_it_off_with_an_answer(rig: Rig) -> None:
    """SIGTERM in the middle of a trial: whoever asked hears of it."""
    task = asyncio.create_task(rig.ask(SETPOINT))
    await rig._yield()
    await rig._yield()
    rig.desk.close()
    outcome = await task
    assert isinstance(outcome, Failed)
    assert outcome.code == "not_ready"


async def test_a_reloaded_site_is_judged_anew(rig: Rig) -> None:
    """The row changed while control ran: AUTO lets go of it in that cycle. A trial under way is broken off."""
    await rig.ask("rack-1.power_cap_w")
    rig.mode = Mode.AUTO
    assert CAP not in rig.desk.bars()
    changed = replace(SITE.points[CAP], scale=1000.0)
    site = replace(SITE, points=(*SITE.points[:CAP], changed, *SITE.points[CAP + 1 :]))
    rig.mode = Mode.OBSERVE
    task = asyncio.create_task(rig.ask(SETPOINT))
    await rig._yield()
    await rig._yield()
    rig.desk.succeed(site)
    assert isinstance(await task, Failed)
    rig.mode = Mode.AUTO
    assert CAP in rig.desk.bars()
    assert "changed since commissioning: scale 1 -> 1000" in rig.desk.kept.message
    assert rig.desk.kept.path == rig.path
