"""From decisions to what is written: adoption, order, bounds, and letting go once."""

import math
from functools import cache

import pytest
from msgspec.structs import replace
from virtual import FIRST_S, MW, bad, demo_site, good

from pswd_edge.control.arbiter import Bound, Candidate, Verdict
from pswd_edge.control.conditions import contradictions
from pswd_edge.control.rules import law
from pswd_edge.control.rules.shed import TierState
from pswd_edge.control.setpoints import ADOPT_S, Setpoints
from pswd_edge.model.command import Level, Mode
from pswd_edge.model.control import Tier
from pswd_edge.model.quality import Reason
from pswd_edge.model.site import Site
from pswd_edge.model.snapshot import Reading, Snapshot, freeze


@cache
def site() -> Site:
    return demo_site()


def index(point: str) -> int:
    return site().point_index[point]


class Desk:
    """Composes cycle by cycle for the demo site, at a load of 60 MW."""

    def __init__(self) -> None:
        self.spec = site().control
        self.setpoints, self.state, self.time_s = Setpoints(site()), law.start(self.spec), FIRST_S
        self.found = {"bess-1": 12 * MW, "bess-2": 8 * MW}
        self.override: dict[int, Reading] = {}

    def snapshot(self) -> Snapshot:
        now = self.time_s
        readings = {self.spec.grid_power.point: good(40 * MW, now)}
        for b in self.spec.batteries:
            power = good(self.found[b.id], now)
            readings |= {b.soc.point: good(70.0, now), b.power.point: power, b.setpoint: power, b.state: good(3.0, now)}
            readings |= {p: good(60 * MW, now) for p in (b.charge_limit, b.discharge_limit) if p is not None}
        readings |= {t.power: good(20 * MW, now) for t in self.spec.tiers}
        return freeze(1, now, now, readings | self.override)

    def step(self, mode: Mode, *, asked: tuple = (), bounds: tuple = (), dt_s: float = 0.1) -> list[Verdict]:
        snapshot = self.snapshot()
        orders = law.Orders(mode, self.spec.load_ceiling_w)
        self.state, self.decision = law.cycle(self.spec, self.state, snapshot, orders, 0.1)
        self.time_s += dt_s
        return self.setpoints.compose(self.decision, self.state, snapshot, mode, asked, bounds)

    def wanted(self, mode: Mode, **more) -> dict[str, float | None]:
        return {site().points[v.point].id: v.value for v in self.step(mode, **more)}

    def engage(self, *ids: str) -> None:
        tiers = tuple(TierState(True, self.time_s, 20 * MW, 15 * MW) if t.id in ids else s
                      for t, s in zip(self.spec.tiers, self.state.shed.tiers, strict=True))
        self.state = self.state._replace(shed=self.state.shed._replace(tiers=tiers))


# --- OBSERVE ----------------------------------------------------------------------------------------------------------


def test_observe_refreshes_what_it_found_and_never_changes_it() -> None:
    """Our own restart must make no step: the devices' watchdogs are fed with the set-points that were found."""
    desk = Desk()
    first = desk.wanted(Mode.OBSERVE)
    assert first == {"bess-1.power_setpoint_w": 12 * MW, "bess-2.power_setpoint_w": 8 * MW}
    desk.found = {"bess-1": 30 * MW, "bess-2": -5 * MW}
    for _ in range(100):
        assert desk.wanted(Mode.OBSERVE) == first


def test_adoption_ends_after_15_s_and_each_point_is_let_go_once() -> None:
    """A control process that never reaches AUTO must not hold the batteries for ever."""
    desk, released = Desk(), []
    for _ in range(200):
        at = desk.time_s - FIRST_S
        released += [(at, site().points[v.point].id) for v in desk.step(Mode.OBSERVE) if v.value is None]
    assert sorted(p for _, p in released) == ["bess-1.power_setpoint_w", "bess-2.power_setpoint_w"]
    assert all(ADOPT_S < t < ADOPT_S + 0.3 for t, _ in released)


def test_a_set_point_that_cannot_be_read_is_not_invented() -> None:
    """Nothing known, nothing written; it is adopted when it answers."""
    desk = Desk()
    desk.override[index("bess-1.power_setpoint_w")] = bad(Reason.NEVER_READ)
    assert desk.wanted(Mode.OBSERVE) == {"bess-2.power_setpoint_w": 8 * MW}
    desk.override.clear()
    assert desk.wanted(Mode.OBSERVE)["bess-1.power_setpoint_w"] == 12 * MW


def test_observe_writes_nobody_s_set_point() -> None:
    """Requests wait: OBSERVE means hands off."""
    desk = Desk()
    cap = index("rack-1.power_cap_w")
    assert desk.wanted(Mode.OBSERVE, asked=(Candidate(cap, 5 * MW, Level.OPERATOR, "console"),)).keys() == {
        "bess-1.power_setpoint_w", "bess-2.power_setpoint_w"}


def test_a_second_time_in_observe_adopts_anew() -> None:
    """What was found a day ago is no longer there."""
    desk = Desk()
    desk.wanted(Mode.OBSERVE)
    desk.wanted(Mode.AUTO)
    desk.found["bess-1"] = 20 * MW
    assert desk.wanted(Mode.OBSERVE)["bess-1.power_setpoint_w"] == 20 * MW


def test_back_in_observe_everything_else_is_let_go_exactly_once() -> None:
    """Caps and enables that AUTO held: one release each, then silence."""
    desk = Desk()
    held = set(desk.wanted(Mode.AUTO))
    let_go = {p for p, v in desk.wanted(Mode.OBSERVE).items() if v is None}
    assert let_go == held - {"bess-1.power_setpoint_w", "bess-2.power_setpoint_w"}
    assert None not in desk.wanted(Mode.OBSERVE).values()


# --- batteries ------------------------------------------------------------------------------------------------------


def test_a_battery_is_written_in_the_order_that_is_safe() -> None:
    """How long it holds without us, what it holds, that it is in W, and only then that it counts."""
    points = [site().points[v.point].id for v in Desk().step(Mode.AUTO)]
    own = [p.removeprefix("bess-1.") for p in points if p.startswith("bess-1.")]
    assert own == ["revert_timeout_s", "power_setpoint_w", "setpoint_mode", "enable", "heartbeat"]
    assert "bess-2.setpoint_mode" not in points


def test_the_battery_s_fixed_values_are_what_the_site_says() -> None:
    """Revert after 12 s, watts, enabled."""
    wanted = Desk().wanted(Mode.AUTO)
    assert [wanted[f"bess-1.{s}"] for s in ("revert_timeout_s", "setpoint_mode", "enable")] == [12.0, 1.0, 1.0]


def test_the_shares_of_the_law_are_what_is_written() -> None:
    """Both together give what the law decided."""
    desk = Desk()
    desk.step(Mode.OBSERVE)
    wanted = desk.wanted(Mode.AUTO)
    both = wanted["bess-1.power_setpoint_w"] + wanted["bess-2.power_setpoint_w"]
    assert both == pytest.approx(desk.decision.battery_w)
    assert desk.decision.battery_w == pytest.approx(20 * MW, abs=0.015 * MW)


def test_the_heartbeat_counts_once_a_period() -> None:
    """A device that sees the same number twice in its time-out reverts."""
    desk = Desk()
    seen = [desk.wanted(Mode.AUTO)["bess-1.heartbeat"] for _ in range(50)]
    assert sorted(set(seen)) == list(range(int(min(seen)), int(min(seen)) + len(set(seen))))
    assert len(set(seen)) in {5, 6}


def test_a_lost_battery_is_told_zero_and_why() -> None:
    """The bound names the reason; the other battery's own set-point is untouched by it."""
    desk = Desk()
    desk.override[index("bess-2.state")] = good(4.0, desk.time_s)
    verdicts = {site().points[v.point].id: v for v in desk.step(Mode.AUTO)}
    assert verdicts["bess-2.power_setpoint_w"].value == 0.0
    assert verdicts["bess-1.power_setpoint_w"].value == pytest.approx(20 * MW, abs=0.015 * MW)


def test_no_candidate_passes_the_battery_s_own_limits() -> None:
    """Protection is level 1: not even an operator gets 500 MW out of 60."""
    point = index("bess-1.power_setpoint_w")
    for level in (Level.OPERATOR, Level.GRID):
        asked = (Candidate(point, 500 * MW, level, "x"),)
        verdict = next(v for v in Desk().step(Mode.AUTO, asked=asked) if v.point == point)
        assert (verdict.value, verdict.limit) == (60 * MW, "battery")


# --- loads ----------------------------------------------------------------------------------------------------------


def test_caps_stand_at_their_rating_and_outlets_are_left_alone() -> None:
    """An outlet that nobody shed is not our business; a cap that stays from yesterday is."""
    wanted = Desk().wanted(Mode.AUTO)
    assert [wanted[f"rack-{i}.power_cap_w"] for i in (1, 2, 3, 4)] == [25 * MW] * 4
    assert not any("outlet" in p for p in wanted)


def test_a_tier_s_outlet_is_written_from_its_first_use_on() -> None:
    """Off while shed, on again after, and on it stays ours."""
    desk = Desk()
    desk.engage("outlet-1")
    values = site().points[desk.spec.tiers[2].setpoint].labels
    wanted = desk.wanted(Mode.AUTO)
    assert values[int(wanted["pdu-1.outlet_command[1]"])] == "off"
    released = desk.state.shed.tiers[2]._replace(engaged=False)
    desk.state = desk.state._replace(shed=desk.state.shed._replace(tiers=(*desk.state.shed.tiers[:2], released)))
    assert values[int(desk.wanted(Mode.AUTO)["pdu-1.outlet_command[1]"])] == "on"


@pytest.mark.parametrize(("throttle_mw", "wanted_mw", "limit"), [(12, 5, "tier:throttle-1"), (3, 3, "workload")])
def test_tier_and_workload_caps_intersect(throttle_mw: float, wanted_mw: float, limit: str) -> None:
    """The lower of both, by its name."""
    desk, cap = Desk(), index("rack-4.power_cap_w")
    desk.engage("throttle-1")
    verdict = next(v for v in desk.step(Mode.AUTO, bounds=(Bound(cap, 0.0, throttle_mw * MW, Level.API, "workload"),))
                   if v.point == cap)
    assert verdict.value == wanted_mw * MW
    assert verdict.limit.split(" ")[0] in {limit, "tier:throttle-1"}


def test_a_person_s_cap_holds_below_a_tier_s() -> None:
    """An operator may lower a rack further, and may not lift it out of a tier."""
    cap = index("rack-4.power_cap_w")
    for asked, wanted in ((2 * MW, 2 * MW), (20 * MW, 5 * MW)):
        desk = Desk()
        desk.engage("throttle-1")
        verdicts = desk.step(Mode.AUTO, asked=(Candidate(cap, asked, Level.OPERATOR, "console"),))
        assert next(v.value for v in verdicts if v.point == cap) == wanted


def test_a_released_request_falls_back_to_the_rating_not_to_nothing() -> None:
    """A cap is always held; what nobody holds but a person is let go once."""
    desk, cap, other = Desk(), index("rack-1.power_cap_w"), index("chiller-1.demand_limit_percent")
    asked = (Candidate(cap, 5 * MW, Level.API, "api:a"), Candidate(other, 80.0, Level.API, "api:a"))
    assert desk.wanted(Mode.AUTO, asked=asked)["chiller-1.demand_limit_percent"] == 80.0
    after = desk.wanted(Mode.AUTO)
    assert after["rack-1.power_cap_w"] == 25 * MW
    assert after["chiller-1.demand_limit_percent"] is None
    assert "chiller-1.demand_limit_percent" not in desk.wanted(Mode.AUTO)


def test_a_request_on_a_battery_s_point_does_not_change_the_order_of_writing() -> None:
    """Who asks for `enable` must not enable before the set-point is there."""
    asked = (Candidate(index("bess-1.enable"), 1.0, Level.OPERATOR, "console"),)
    points = [site().points[v.point].id for v in Desk().step(Mode.AUTO, asked=asked)]
    own = [points.index(f"bess-1.{s}") for s in ("revert_timeout_s", "power_setpoint_w", "enable")]
    assert own == sorted(own)


def test_no_verdict_is_no_number() -> None:
    """With every input lost the values are still numbers: a NaN on the wire is anything."""
    desk = Desk()
    desk.step(Mode.AUTO)
    desk.override = dict.fromkeys(desk.snapshot().readings, bad())
    for _ in range(30):
        assert all(v.value is None or math.isfinite(v.value) for v in desk.step(Mode.AUTO))


def led_by_tiers(*percents: float) -> tuple[Site, Desk]:
    """The demo with a chiller's demand limit as its only tiers, one of each percentage."""
    point, power = index("chiller-1.demand_limit_percent"), index("rack-1.active_power_w")
    tiers = tuple(Tier(f"stage-{i}", "demand_limit", point, power, p, 100.0) for i, p in enumerate(percents))
    desk = Desk()
    desk.step(Mode.AUTO)
    return replace(site(), control=replace(site().control, tiers=tiers)), desk


@pytest.mark.parametrize(("engaged", "wanted"), [((True, True), 50.0), ((True, False), 80.0), ((False, False), 100.0)])
def test_of_two_tiers_at_one_set_point_the_later_that_is_engaged_holds(
    engaged: tuple[bool, ...], wanted: float
) -> None:
    """A demand limit may be lowered in stages; two words at once would contradict each other."""
    staged, desk = led_by_tiers(80.0, 50.0)
    shed = desk.state.shed._replace(tiers=tuple(TierState(e, FIRST_S, 0.0, 0.0) for e in engaged))
    verdicts = Setpoints(staged).compose(desk.decision, desk.state._replace(shed=shed), desk.snapshot(), Mode.AUTO,
                                         (), ())
    found = next(v for v in verdicts if v.point == index("chiller-1.demand_limit_percent"))
    assert (found.value, found.tied) == (wanted, ())


def test_a_tier_that_was_given_back_leaves_its_set_point_to_whoever_leads_it() -> None:
    """Cooling goes on leading a chiller's demand limit after the tier let go of it."""
    led, desk = led_by_tiers(40.0)
    shed = desk.state.shed._replace(tiers=(TierState(False, FIRST_S, 0.0, 0.0),))
    asked = (Candidate(index("chiller-1.demand_limit_percent"), 70.0, Level.LAW, "thermal"),)
    verdicts = Setpoints(led).compose(desk.decision, desk.state._replace(shed=shed), desk.snapshot(), Mode.AUTO,
                                      asked, ())
    found = next(v for v in verdicts if v.point == asked[0].point)
    assert (found.value, found.winner, found.tied) == (70.0, "thermal", ())


def test_a_contradiction_is_an_alarm_of_its_point() -> None:
    """Nobody is led by chance, and the engineer hears who wanted what."""
    point = index("chiller-1.demand_limit_percent")
    asked = tuple(Candidate(point, value, Level.LAW, who) for value, who in ((70.0, "a"), (60.0, "b")))
    found = list(contradictions(site(), Desk().step(Mode.AUTO, asked=asked)))
    assert found == [("contradiction:chiller-1.demand_limit_percent", "neither is taken: a=70, b=60")]
