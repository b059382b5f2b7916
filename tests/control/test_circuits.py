"""The tree of circuits: what a branch carries, what batteries below it may do, which loads go, and in closed loop."""

import math
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from virtual import GRID, LOAD, MW, MWH, battery_spec, demo_site, good, small_spec, tier_spec

from pswd_edge.control.rules import circuits, law, relief
from pswd_edge.control.rules.circuits import KEPT_SHARE
from pswd_edge.control.succession import carried_law
from pswd_edge.model.command import Mode
from pswd_edge.model.control import Branch, ControlSpec, Input, LoadController
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.snapshot import Reading, Snapshot, freeze

ROW_METER, HALL_METER = 80, 81
RATING_W = 20 * MW
ACTUATION_S = 2.0


def branch(name: str = "row", rating_w: float = RATING_W, **changes) -> Branch:
    return replace(Branch(name, rating_w, None, Input(ROW_METER)), **changes)


def spec_of(*branches: Branch, **changes) -> ControlSpec:
    """The small site with these circuits; one battery of 10 MW, where the test does not say otherwise."""
    made = {"batteries": (battery_spec(1, 40 * MW), battery_spec(2, 10 * MW, 5 * MWH)),
            "tiers": (tier_spec("t1"), tier_spec("t2"), tier_spec("t3")), **changes}
    return small_spec(branches=branches, **made)


class Plant:
    """Loads that step, batteries that do what they are told a cycle later, tiers that take their time.

    `below_w`: the part of the load on the row; the first tier is on it, the others are elsewhere. `racks`: what load
    controllers draw by place, as part of the row.
    """

    def __init__(self, spec: ControlSpec, load_w: float = 60 * MW, below_w: float = 10 * MW) -> None:
        self.spec, self.load_w, self.below_w = spec, load_w, below_w
        self.time_s, self.cycle = 1000.0, 0
        self.power_w = [0.0] * len(spec.batteries)
        self.soc = [60.0] * len(spec.batteries)
        self.cap_w = [math.inf] * len(spec.tiers)
        self.asked: list[list[tuple[float, float]]] = [[] for _ in spec.tiers]
        self.tier_w = [10 * MW] * len(spec.tiers)
        self.racks_w: dict[int, float] = {}
        self.override: dict[int, Reading] = {}
        self.state = law.start(spec)

    def tiers_now_w(self) -> list[float]:
        for i, asked in enumerate(self.asked):
            while asked and asked[0][0] <= self.time_s:
                self.cap_w[i] = asked.pop(0)[1]
        return [min(w, cap) for w, cap in zip(self.tier_w, self.cap_w, strict=True)]

    def off_w(self) -> list[float]:
        return [w - now for w, now in zip(self.tier_w, self.tiers_now_w(), strict=True)]

    def row_w(self) -> float:
        """What the row's cable carries."""
        below = [i for b in self.spec.branches if b.id == "row" for i in b.batteries]
        tiers = [i for b in self.spec.branches if b.id == "row" for i in b.tiers]
        off = self.off_w()
        return self.below_w - sum(off[i] for i in tiers) - sum(self.power_w[i] for i in below)

    def snapshot(self) -> Snapshot:
        now, load = self.time_s, self.load_w - sum(self.off_w())
        readings = {GRID: good(load - sum(self.power_w), now), LOAD: good(load, now),
                    ROW_METER: good(self.row_w(), now)}
        for b, power, soc in zip(self.spec.batteries, self.power_w, self.soc, strict=True):
            readings |= {b.soc.point: good(soc, now), b.power.point: good(power, now)}
        readings |= {t.power: good(w, now) for t, w in zip(self.spec.tiers, self.tiers_now_w(), strict=True)}
        readings |= {self.spec.load_controllers[i].power: good(w, now) for i, w in self.racks_w.items()}
        return freeze(self.cycle, now, now, readings | self.override)

    def step(self, mode: Mode = Mode.AUTO, **orders) -> law.Decision:
        asked = law.Orders(mode, self.spec.load_ceiling_w, **orders)
        self.state, decision = law.cycle(self.spec, self.state, self.snapshot(), asked, 0.1)
        if decision.acts:
            self.power_w = [decision.shares.get(b.id, 0.0) for b in self.spec.batteries]
        for i, (t, found) in enumerate(zip(self.spec.tiers, self.state.shed.tiers, strict=True)):
            cap = found.cap_w if found.engaged else math.inf
            last = self.asked[i][-1][1] if self.asked[i] else self.cap_w[i]
            if cap != last:
                self.asked[i].append((self.time_s + 0.75 * t.actuation_s, cap))
        for i, b in enumerate(self.spec.batteries):
            self.soc[i] -= 100 * self.power_w[i] * 0.1 / 3600 / b.capacity_wh
        self.time_s += 0.1
        self.cycle += 1
        return decision

    def run(self, seconds: float, **orders) -> Iterator[law.Decision]:
        for _ in range(round(seconds * 10)):
            yield self.step(**orders)

    def settle(self, seconds: float = 5.0, **orders) -> law.Decision:
        *_, last = self.run(seconds, **orders)
        return last

    def add_below(self, power_w: float) -> None:
        """Load on the row, all of it the first tier's."""
        self.below_w, self.load_w = self.below_w + power_w, self.load_w + power_w
        self.tier_w[0] += power_w


def engaged(plant: Plant) -> set[str]:
    return {t.id for t, s in zip(plant.spec.tiers, plant.state.shed.tiers, strict=True) if s.engaged}


def test_a_row_over_its_rating_sheds_below_itself_only() -> None:
    """25 MW on 20 MW: a cable does not care that the site has power to spare, nor that other halls could shed."""
    plant = Plant(spec_of(branch(tiers=(0,))))
    plant.settle()
    plant.add_below(15 * MW)
    plant.settle(ACTUATION_S + 1)
    assert plant.row_w() <= RATING_W
    assert engaged(plant) == {"t1"}


def test_it_sheds_as_little_as_needed() -> None:
    """What is taken off brings the row to where noise is no overload, and not below."""
    plant = Plant(spec_of(branch(tiers=(0,))))
    plant.settle()
    plant.add_below(15 * MW)
    plant.settle(10)
    assert plant.row_w() == pytest.approx(KEPT_SHARE * RATING_W, abs=0.01 * MW)


def test_the_load_comes_back_when_its_circuit_has_room_and_not_before() -> None:
    """A circuit that is at its rating because its loads are held down has no room for them."""
    plant = Plant(spec_of(branch(tiers=(0,))))
    plant.settle()
    plant.add_below(15 * MW)
    plant.settle(120)
    assert engaged(plant) == {"t1"}
    plant.below_w, plant.load_w = plant.below_w - 12 * MW, plant.load_w - 12 * MW
    plant.tier_w[0] -= 12 * MW
    plant.settle(200)
    assert engaged(plant) == set()


def test_tiers_of_other_circuits_come_back_past_one_that_is_held() -> None:
    """The last in the site's order is held by its circuit; the others must not wait for it."""
    plant = Plant(spec_of(branch(tiers=(2,)), import_limit_w=62 * MW), load_w=60 * MW)
    plant.soc = [11.0, 11.0]
    plant.settle()
    plant.below_w = 25 * MW
    plant.tier_w[2] = 15 * MW
    plant.load_w = 80 * MW
    plant.settle(90)
    assert {"t1", "t3"} <= engaged(plant)
    plant.load_w = 50 * MW
    plant.settle(200)
    assert engaged(plant) == {"t3"}


def test_an_overload_of_one_cycle_sheds_nothing() -> None:
    """One sample over the rating is noise, unless it is far over."""
    plant = Plant(spec_of(branch(tiers=(0,))))
    plant.settle()
    plant.override[ROW_METER] = good(1.05 * RATING_W, plant.time_s)
    plant.step()
    plant.override.clear()
    plant.settle()
    assert engaged(plant) == set()


def test_far_over_its_rating_it_sheds_in_the_first_cycle() -> None:
    """A fuse at 1.25 times its rating does not wait for a second look."""
    plant = Plant(spec_of(branch(tiers=(0,))))
    plant.settle()
    plant.add_below(15 * MW)
    plant.step()
    assert engaged(plant) == {"t1"}


def test_a_battery_charges_no_more_than_its_branch_carries() -> None:
    """15 MW of load leave 4.6 MW; the law must know it, or it would count on what cannot be."""
    plant = Plant(spec_of(branch(batteries=(1,))), below_w=15 * MW)
    made = []
    for decision in plant.run(60, target_w=-50 * MW):
        made.append(decision.fleet)
        assert plant.row_w() <= RATING_W
    assert made[-1].batteries[1].charge_available_w == pytest.approx(4.6 * MW, rel=0.01)
    assert made[-1].charge_available_w <= 44.7 * MW


def test_a_battery_pushes_no_more_back_than_its_branch_carries() -> None:
    """A cable is as hot from power that flows the other way."""
    plant = Plant(spec_of(branch(rating_w=6 * MW, batteries=(1,))), below_w=1 * MW)
    plant.settle()
    for _ in plant.run(60, target_w=50 * MW):
        assert plant.row_w() >= -6 * MW
    assert plant.power_w[1] > 0


def test_a_battery_below_relieves_its_branch_and_spares_the_loads() -> None:
    """It is quicker than any tier; the grid sees nothing of it, as another battery takes what it gives too much."""
    plant = Plant(spec_of(branch(batteries=(1,), tiers=(0,))))
    plant.settle(20)
    plant.add_below(13 * MW)
    plant.settle(5)
    assert plant.row_w() <= RATING_W
    assert engaged(plant) == set()


def test_loads_go_before_the_battery_that_relieves_is_empty() -> None:
    """It holds for a while; then its own energy is what is missing, and the tier must be there in time."""
    plant = Plant(spec_of(branch(batteries=(1,), tiers=(0,))))
    plant.settle()
    plant.soc[1] = 12.0
    plant.state = plant.state._replace(energy=())
    plant.add_below(13 * MW)
    worst_w = 0.0
    for cycle, _ in enumerate(plant.run(120)):
        worst_w = max(worst_w, plant.row_w() if cycle > 5 else 0.0)
    assert engaged(plant) == {"t1"}
    assert worst_w <= 1.01 * RATING_W


def test_a_step_of_the_battery_is_not_taken_for_load() -> None:
    """The meter answers later than the battery: taken at different moments, each move would look like load."""
    slow = replace(Input(ROW_METER), latency_ms=100.0)
    plant = Plant(spec_of(branch(meter=slow, batteries=(1,))), below_w=12 * MW)
    plant.settle()
    before_w, loads = plant.row_w(), []
    for power_w in (0.0, 8 * MW, -6 * MW, 0.0, 5 * MW, 5 * MW):
        plant.override[ROW_METER] = good(before_w, plant.time_s)
        before_w = plant.row_w()
        plant.step()
        plant.power_w[1] = power_w
        loads.append(plant.state.circuits[0].load_w)
    assert loads == pytest.approx([12 * MW] * len(loads), rel=0.002)


def test_a_branch_that_cannot_be_read_keeps_what_it_had_and_takes_no_more() -> None:
    """Stale is worst case: the last load counts, charging may not grow, nothing is given back."""
    plant = Plant(spec_of(branch(batteries=(1,), tiers=(0,))), below_w=10 * MW)
    plant.settle()
    plant.override[ROW_METER] = Reading(math.nan, Quality.BAD, Reason.UNREACHABLE, 0.0, 0.0)
    decision = plant.step(target_w=-50 * MW)
    held_w = decision.fleet.batteries[1].charge_available_w
    decision = plant.settle(20, target_w=-50 * MW)
    assert "circuit_unknown:row" in decision.degraded
    assert decision.fleet.batteries[1].charge_available_w == held_w
    assert plant.state.circuits[0].load_w == pytest.approx(10 * MW)


def test_what_hangs_on_a_branch_stands_in_for_its_meter() -> None:
    """Only where the site declares that nothing else hangs there: part of a load is no load."""
    racks = (LoadController("r0", 5, 60, 65, 25 * MW), LoadController("r1", 5, 61, 66, 25 * MW))
    loads = (Input(65), Input(66))
    tree = (branch(sums=True, loads=loads, parent=1, controllers=(0, 1)),
            Branch("hall", 60 * MW, None, children=(0,), sums=True, controllers=(0, 1)))
    plant = Plant(spec_of(*tree, load_controllers=racks), below_w=12 * MW)
    plant.racks_w = {0: 5 * MW, 1: 6 * MW}
    plant.settle()
    plant.override[ROW_METER] = Reading(math.nan, Quality.BAD, Reason.UNREACHABLE, 0.0, 0.0)
    assert plant.step().degraded == ()
    assert [s.load_w for s in plant.state.circuits] == [11 * MW, 11 * MW]
    del plant.racks_w[1]
    assert set(plant.step().degraded) == {"circuit_unknown:row", "circuit_unknown:hall"}


def test_load_controllers_are_held_where_tiers_do_not_suffice() -> None:
    """No tier below: the busiest racks give way first, and all together bring the row to its rating."""
    racks = (LoadController("r0", 5, 60, 65, 25 * MW), LoadController("r1", 5, 61, 66, 25 * MW))
    plant = Plant(spec_of(branch(controllers=(0, 1)), load_controllers=racks), below_w=26 * MW)
    plant.racks_w = {0: 18 * MW, 1: 8 * MW}
    plant.settle(1.0)
    held = {c.controller: c.high_w for c in relief.caps(plant.spec, plant.state.circuits)}
    assert sum(min(w, held[i]) for i, w in plant.racks_w.items()) == pytest.approx(KEPT_SHARE * RATING_W)
    assert held[1] >= 8 * MW
    plant.racks_w, plant.below_w = {0: 3 * MW, 1: 3 * MW}, 6 * MW
    plant.settle(150)
    assert relief.caps(plant.spec, plant.state.circuits) == ()


def test_without_circuits_nothing_is_different() -> None:
    """A site that says nothing of circuits decides as before, bit for bit."""
    plain, idle = Plant(spec_of()), Plant(spec_of(branch(rating_w=1000 * MW, meter=Input(LOAD))))
    for k in range(300):
        for plant in (plain, idle):
            plant.load_w = 60 * MW + (20 * MW if k % 80 > 40 else 0)
        a, b = plain.step(), idle.step()
        assert (a.battery_w, a.shares, a.binding, a.degraded) == (b.battery_w, b.shares, b.binding, b.degraded)
    assert plain.state.shed == idle.state.shed


def trees() -> st.SearchStrategy[ControlSpec]:
    """Random trees of up to six branches, children before parents, three batteries hung anywhere."""
    @st.composite
    def build(draw: st.DrawFn) -> ControlSpec:
        n = draw(st.integers(1, 6))
        parents = [draw(st.integers(k + 1, n - 1)) if k < n - 1 else None for k in range(n)]
        seats = [draw(st.integers(0, n - 1)) for _ in range(3)]
        made = []
        for k in range(n):
            below = tuple(i for i, seat in enumerate(seats) if k in _way(parents, seat))
            made.append(Branch(f"c{k}", draw(st.floats(2, 60)) * MW, parents[k], Input(200 + k), batteries=below))
        return spec_of(*made, batteries=tuple(battery_spec(i + 1, 30 * MW) for i in range(3)))
    return build()


def _way(parents: list[int | None], k: int | None) -> list[int]:
    way = []
    while k is not None:
        way.append(k)
        k = parents[k]
    return way


@settings(max_examples=60, deadline=None, derandomize=True)
@given(spec=trees(), loads=st.lists(st.floats(0, 40), min_size=6, max_size=6), target=st.floats(-90, 90),
       soc=st.floats(10, 90), site_w=st.floats(20, 90))
def test_no_command_takes_a_branch_over_its_rating(spec: ControlSpec, loads: list[float], target: float, soc: float,
                                                   site_w: float) -> None:
    """On any tree, whatever is asked: a branch carries no more than its rating, or than it would without us."""
    state, power = law.start(spec), [0.0] * 3
    for cycle in range(25):
        now = 1000.0 + cycle / 10
        readings = {GRID: good(site_w * MW - sum(power), now), LOAD: good(site_w * MW, now)}
        for i, b in enumerate(spec.batteries):
            readings |= {b.soc.point: good(soc, now), b.power.point: good(power[i], now)}
        for k, b in enumerate(spec.branches):
            readings[200 + k] = good(loads[k] * MW - sum(power[i] for i in b.batteries), now)
        readings |= {t.power: good(0.0, now) for t in spec.tiers}
        asked = law.Orders(Mode.MANUAL, spec.load_ceiling_w, manual_w=target * MW)
        state, decision = law.cycle(spec, state, freeze(cycle, now, now, readings), asked, 0.1)
        power = [decision.shares[b.id] for b in spec.batteries]
        for k, b in enumerate(spec.branches):
            carried = loads[k] * MW - sum(power[i] for i in b.batteries)
            assert abs(carried) <= max(b.rating_w, loads[k] * MW) + 1.0
        assert decision.battery_w == pytest.approx(sum(power), abs=1.0)


def test_every_overloaded_branch_has_its_name_in_the_alarms() -> None:
    """The rows of the table: over for two cycles, and gone with the overload."""
    plant = Plant(spec_of(branch(tiers=())))
    plant.settle()
    plant.add_below(11 * MW)
    assert plant.step().degraded == ()
    assert plant.step().degraded == ("circuit_overload:row",)
    plant.add_below(-11 * MW)
    assert plant.step().degraded == ()
    assert circuits.overloaded(plant.spec, plant.state.circuits) == ()


def test_nothing_comes_back_below_a_branch_that_cannot_be_read() -> None:
    """The row has room again, but nobody can see it."""
    plant = Plant(spec_of(branch(tiers=(0,))))
    plant.settle()
    plant.add_below(15 * MW)
    plant.settle(5)
    cap_w = plant.state.shed.tiers[0].cap_w
    plant.override[ROW_METER] = Reading(math.nan, Quality.BAD, Reason.UNREACHABLE, 0.0, 0.0)
    plant.add_below(-15 * MW)
    plant.settle(90)
    assert plant.state.shed.tiers[0].cap_w == cap_w


def test_what_is_known_of_a_circuit_goes_with_it_to_another_site() -> None:
    """A reload must not forget what is held back: the load would come back at once."""
    site = demo_site()
    known = tuple(circuits.BranchState(load_w=float(i), known=True) for i in range(len(site.control.branches)))
    state = law.start(site.control)._replace(circuits=known)
    moved = replace(site, control=replace(site.control, branches=site.control.branches[1:]))
    after = carried_law(site, moved, state)
    assert after.circuits == known[1:]
    assert carried_law(moved, site, after).circuits == (circuits.BranchState(), *known[1:])


def test_a_cap_that_is_stuck_is_not_counted_on() -> None:
    """The first tier does nothing; after its time the next one below goes in its place."""
    plant = Plant(spec_of(branch(tiers=(0, 1))))
    plant.settle()
    plant.add_below(13 * MW)
    plant.step()
    plant.cap_w[0], plant.asked[0] = math.inf, []
    for decision in plant.run(8):
        assert decision.acts
        plant.asked[0] = []
        plant.cap_w[0] = math.inf
    assert engaged(plant) == {"t1", "t2"}
    assert plant.row_w() <= RATING_W


def late_cycles_over(plant: Plant, seconds: float, load_w: Callable[[int], float]) -> int:
    """Cycles over the rating, with a battery that is two cycles late and told to charge; `load_w`: by cycle."""
    coming, over = [[0.0, 0.0]] * 2, 0
    for k in range(round(seconds * 10)):
        plant.load_w += load_w(k) - plant.below_w
        plant.below_w = plant.tier_w[0] = load_w(k)
        over += plant.row_w() > 1.001 * RATING_W
        plant.step(target_w=-20 * MW)
        coming.append(plant.power_w)
        plant.power_w = coming.pop(0)
    return over


def test_a_swing_meets_charging_once_and_not_every_time() -> None:
    """The battery is later than the load: what it fills of a trough is still there when the peak comes back."""
    plant = Plant(spec_of(branch(batteries=(1,), tiers=(0,))), below_w=15 * MW)
    assert 0 < late_cycles_over(plant, 90, lambda k: (18 if k % 20 < 10 else 12) * MW) <= 6
    assert engaged(plant) == set()


def test_a_load_that_fell_for_good_leaves_its_room_at_once() -> None:
    """An abort is what batteries are for; nothing is kept free for what never came back."""
    plant = Plant(spec_of(branch(batteries=(1,))), below_w=18 * MW)
    late_cycles_over(plant, 10, lambda _: 18 * MW)
    assert plant.state.circuits[0].peak_w == -math.inf
    late_cycles_over(plant, 0.2, lambda _: 2 * MW)
    assert plant.step().fleet.batteries[1].charge_available_w == pytest.approx(10 * MW)


def test_a_hall_counts_on_what_its_rows_have_just_been_capped_to() -> None:
    """Both are over by the same load: what the row takes off is enough for the hall, and is not taken twice."""
    racks = (LoadController("r0", 5, 60, 65, 25 * MW), LoadController("r1", 5, 61, 66, 25 * MW))
    tree = (branch(controllers=(0,), parent=1),
            Branch("hall", 41 * MW, None, Input(HALL_METER), children=(0,), controllers=(0, 1)))
    plant = Plant(spec_of(*tree, load_controllers=racks), below_w=25 * MW)
    plant.racks_w = {0: 25 * MW, 1: 18 * MW}
    for _ in range(10):
        plant.override[HALL_METER] = good(43 * MW, plant.time_s)
        plant.step()
    row, hall = plant.state.circuits
    assert row.hold.cap_share == pytest.approx(KEPT_SHARE * RATING_W / (25 * MW))
    assert hall.hold.cap_share == math.inf

