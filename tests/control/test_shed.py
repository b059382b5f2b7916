"""Which loads go, when, and when they come back."""

import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import FIRST_S, MW, MWH, fleet, limits, low_pass, small_spec, tier_spec

from pswd_edge.control.rules import lasting
from pswd_edge.control.rules.shed import ShedState, TierState, decide, needs, pending_w, stuck, warning_s
from pswd_edge.control.rules.tiers import coming_w
from pswd_edge.model.control import ControlSpec

SPEC = small_spec()
FULL = (10 * MW, 20 * MW, 30 * MW)


class Tiers:
    """Tiers that obey after `obey_s`, or never; the deficit is what the test says less what was shed."""

    def __init__(self, spec: ControlSpec = SPEC, power_w: Sequence[float] = FULL, obey_s: float = 0.3) -> None:
        self.spec, self.full_w, self.obey_s = spec, list(power_w), obey_s
        self.state = ShedState(tuple(TierState() for _ in spec.tiers))
        self.time_s = FIRST_S
        self.seen_w = 0.0

    @property
    def engaged(self) -> list[bool]:
        return [t.engaged for t in self.state.tiers]

    def powers(self) -> list[float]:
        return [min(t.cap_w, p) if t.engaged and self.time_s - t.since_s >= self.obey_s else p
                for t, p in zip(self.state.tiers, self.full_w, strict=True)]

    def step(self, deficit_w: float, *, trusted: bool = True) -> list[bool]:
        """One cycle; the deficit is before anything was shed, and what goes shows through the load's filter."""
        powers = self.powers()
        gone = sum(p - now for p, now in zip(self.full_w, powers, strict=True) if not math.isnan(now))
        seen = self.seen_w = low_pass(self.seen_w, gone, self.spec.filter_hz)
        self.state = decide(self.spec, self.state, deficit_w - seen, powers, trusted, self.time_s, 0.1)
        self.time_s += 0.1
        return self.engaged

    def run(self, seconds: float, deficit_w: float, *, trusted: bool = True) -> list[bool]:
        for _ in range(round(seconds * 10)):
            self.step(deficit_w, trusted=trusted)
        return self.engaged


# --- engage -------------------------------------------------------------------------------------------------------


def test_one_cycle_of_deficit_sheds_nothing() -> None:
    """A glitch of a meter must not cost anybody a rack."""
    tiers = Tiers()
    assert tiers.step(2 * MW) == [False] * 3
    assert tiers.step(-1 * MW) == [False] * 3
    assert tiers.step(2 * MW) == [False] * 3


@pytest.mark.parametrize(("deficit_mw", "count"), [(2, 1), (9.4, 1), (9.6, 2), (29.4, 2), (29.6, 3), (500, 3)])
def test_the_smallest_prefix_that_covers_deficit_and_margin_goes(deficit_mw: float, count: int) -> None:
    """Margin 0.5 MW; 10, 20 and 30 MW in this order."""
    tiers = Tiers()
    tiers.step(deficit_mw * MW)
    assert tiers.step(deficit_mw * MW) == [True] * count + [False] * (3 - count)


def test_a_large_deficit_sheds_at_once() -> None:
    """Beyond `shed_fast_w` (5 MW) a cycle of waiting is a step of the grid."""
    assert Tiers().step(5.1 * MW) == [True, False, False]
    assert Tiers().step(4.9 * MW) == [False, False, False]


def test_what_is_being_shed_is_not_shed_again() -> None:
    """The filtered load shows a shed tier seconds later: without this, 40 MW went for a deficit of 10 MW."""
    tiers = Tiers(power_w=(12 * MW, 14 * MW, 14 * MW), obey_s=0.5)
    assert tiers.run(30, 10 * MW) == [True, False, False]


def test_a_deficit_that_grows_meanwhile_takes_the_next_tier() -> None:
    """Pending power hides what was counted on, not what came after."""
    tiers = Tiers()
    tiers.run(0.3, 8 * MW)
    assert tiers.run(0.3, 25 * MW) == [True, True, False]


def test_a_stuck_tier_is_given_up_after_its_actuation_time() -> None:
    """Its meter shows that nothing went: the next tier must, and not 4 s later."""
    tiers = Tiers(obey_s=math.inf)
    assert tiers.run(1.9, 8 * MW) == [True, False, False]
    assert tiers.run(0.6, 8 * MW) == [True, True, False]


def test_a_stuck_tier_is_named_when_it_had_its_time_and_not_before() -> None:
    """The operator must go and look; a tier that obeys, or still may, must not send him."""
    tiers = Tiers(obey_s=math.inf)
    tiers.run(2.5, 8 * MW)
    assert stuck(SPEC, tiers.state, tiers.time_s) == ()
    tiers.run(1.0, 8 * MW)
    assert stuck(SPEC, tiers.state, tiers.time_s) == ("t1",)
    good = Tiers()
    good.run(10, 8 * MW)
    assert good.engaged[0]
    assert stuck(SPEC, good.state, good.time_s) == ()


def test_a_tier_that_sheds_less_than_promised_counts_with_what_it_shed() -> None:
    """Half of it went: from its actuation time on the other half is missing."""
    half = TierState(True, FIRST_S, 10 * MW, 10 * MW, gone_w=5 * MW, filtered_w=6 * MW, asked_s=FIRST_S)
    state = ShedState((half, TierState(), TierState()))
    assert pending_w(SPEC, state, FIRST_S + 1.9) == pytest.approx(6 * MW)
    assert pending_w(SPEC, state, FIRST_S + 2.1) == pytest.approx(1 * MW)


@pytest.mark.parametrize("power_w", [math.nan, 0.0, -1.0])
def test_a_tier_that_carries_nothing_known_is_passed_over(power_w: float) -> None:
    """Switching it off would take nothing, or nobody knows what."""
    tiers = Tiers(power_w=(power_w, 20 * MW, 30 * MW))
    tiers.step(8 * MW)
    assert tiers.engaged == [False, True, False]


def test_a_cap_sheds_only_what_is_above_its_floor() -> None:
    """A rack capped at 6 MW that draws 10 gives 4."""
    spec = small_spec(tiers=(tier_spec("t1", floor_w=6 * MW), tier_spec("t2"), tier_spec("t3")))
    tiers = Tiers(spec)
    tiers.step(8 * MW)
    assert tiers.engaged == [True, True, False]
    assert tiers.state.tiers[0].shed_w == 4 * MW


def test_the_site_s_order_counts_not_the_size() -> None:
    """The largest tier is not taken first where it is the last in the list."""
    tiers = Tiers(power_w=(30 * MW, 5 * MW, 60 * MW))
    tiers.step(29 * MW)
    assert tiers.engaged == [True, False, False]


def test_a_tier_goes_no_more_often_than_it_may_in_an_hour() -> None:
    """Contactors wear, and so does patience."""
    spec = small_spec(tiers=(tier_spec("t1", max_events_per_h=2, min_on_s=1, min_off_s=1),), release_after_s=1.0,
                      release_gap_s=1.0)
    tiers = Tiers(spec, (10 * MW,))
    engagements = 0
    for _ in range(6):
        before = tiers.engaged[0]
        engagements += tiers.run(1, 6 * MW)[0] and not before
        tiers.run(20, -100 * MW)
    assert engagements == 2
    tiers.time_s += 3600
    assert tiers.run(1, 6 * MW) == [True]


# --- restore ------------------------------------------------------------------------------------------------------


def shed_all() -> Tiers:
    tiers = Tiers()
    tiers.run(1, 58 * MW)
    assert tiers.engaged == [True] * 3
    return tiers


def test_tiers_come_back_one_at_a_time_in_reverse_and_with_the_gap() -> None:
    """A restore is a step up of the load: the next waits until this one was carried."""
    tiers, changes, before = shed_all(), [], [True] * 3
    for _ in range(1500):
        now = tiers.step(-50 * MW)
        if now != before:
            changes.append((tiers.time_s, [a and not b for a, b in zip(before, now, strict=True)].index(True)))
            assert sum(a != b for a, b in zip(before, now, strict=True)) == 1
        before = now
    assert [i for _, i in changes] == [2, 1, 0]
    assert all(b[0] - a[0] >= 10 for a, b in itertools.pairwise(changes))
    assert changes[0][0] - FIRST_S >= 30


def test_a_tier_does_not_come_back_where_its_load_would_be_a_deficit_again() -> None:
    """Headroom of 25 MW is none for an outlet of 30 MW, and 40 is none for half as much again when it comes back."""
    spec = small_spec(tiers=tuple(tier_spec(f"t{i}", action="outlet") for i in (1, 2, 3)))
    tiers = Tiers(spec)
    tiers.run(1, 58 * MW)
    assert tiers.run(120, 35 * MW) == [True] * 3
    assert tiers.run(60, 20 * MW) == [True] * 3
    assert tiers.run(60, 14 * MW) == [True, True, False]


def test_a_cap_comes_back_as_far_as_there_is_room() -> None:
    """A tier larger than the batteries' present power would stay out until they are back: half of it need not."""
    tiers = shed_all()
    assert tiers.run(120, 40 * MW) == [True] * 3
    caps = [t.cap_w / MW for t in tiers.state.tiers]
    assert caps[:2] == [0.0, 0.0]
    assert 19 < caps[2] < 20
    assert sum(tiers.powers()) <= 60 * MW - 40 * MW


def test_a_cap_takes_off_no_more_than_is_missing() -> None:
    """Four megawatts of ten: the rack goes on with six, less the margin."""
    tiers = Tiers()
    tiers.run(30, 4 * MW)
    assert tiers.state.tiers[0].cap_w == pytest.approx(10 * MW - 4.5 * MW)
    assert tiers.engaged == [True, False, False]


def test_a_deficit_that_grows_lowers_the_cap_before_the_next_tier_goes() -> None:
    """Two tiers at half their power are two groups of people disturbed instead of one."""
    tiers = Tiers()
    tiers.run(3, 4 * MW)
    tiers.run(5, 8 * MW)
    assert tiers.engaged == [True, False, False]
    assert tiers.state.tiers[0].cap_w < 2 * MW


def test_what_came_back_is_expected_to_draw_more_for_a_minute() -> None:
    """Cold-load pickup: the next tier waits for what the last may still draw."""
    back = TierState(False, FIRST_S, 10 * MW, filtered_w=3 * MW)
    state = ShedState((back, TierState(), TierState()))
    assert coming_w(SPEC, state, FIRST_S + 1) == pytest.approx(12 * MW)
    assert coming_w(SPEC, state, FIRST_S + 61) == 0


def test_a_load_that_swings_comes_back_by_its_peaks() -> None:
    """The room of a trough is gone half a second later: used, it would be shed again."""
    tiers = shed_all()
    for _ in range(60):
        tiers.run(1, 50 * MW)
        tiers.run(1, 40 * MW)
    assert tiers.engaged == [True] * 3
    assert tiers.state.tiers[2].cap_w < 12 * MW


def test_nothing_comes_back_on_a_load_that_is_not_trusted() -> None:
    """A substitute meter is good enough to shed by, not to load the grid by; trust then begins anew."""
    tiers = shed_all()
    assert tiers.run(100, -50 * MW, trusted=False) == [True] * 3
    assert tiers.run(29, -50 * MW) == [True] * 3
    assert tiers.run(2, -50 * MW) == [True, True, False]


def test_a_deficit_that_is_no_number_gives_nothing_back() -> None:
    """NaN compares false with everything: it must not pass for calm."""
    tiers = shed_all()
    assert tiers.run(100, math.nan) == [True] * 3


# --- any input ----------------------------------------------------------------------------------------------------

MINIMA = small_spec(tiers=(tier_spec("t1", min_on_s=3.0, min_off_s=4.0), tier_spec("t2", min_on_s=2.0, min_off_s=1.0),
                           tier_spec("t3", min_on_s=1.0, min_off_s=3.0)), release_after_s=1.0, release_gap_s=2.0)
inputs = st.lists(st.tuples(st.floats(-80 * MW, 80 * MW), st.booleans(), st.integers(1, 25)), min_size=5, max_size=40)


@settings(max_examples=60, deadline=None)
@given(inputs)
def test_no_input_makes_a_tier_chatter(steps: list[tuple[float, bool, int]]) -> None:
    """P6: minimum on and off times, one restore at a time and the gap, whatever the deficit does."""
    tiers = Tiers(MINIMA)
    since, before, restored = [-math.inf] * 3, [False] * 3, -math.inf
    for deficit, trusted, cycles in steps:
        for _ in range(cycles):
            at, now = tiers.time_s, tiers.step(deficit, trusted=trusted)
            changed = [i for i in range(3) if now[i] != before[i]]
            for i in changed:
                tier = MINIMA.tiers[i]
                assert at - since[i] >= (tier.min_on_s if before[i] else tier.min_off_s) - 1e-6
                since[i] = at
            back = [i for i in changed if before[i]]
            assert len(back) <= 1
            if back:
                assert trusted
                assert at - restored >= MINIMA.release_gap_s - 1e-6
                restored = at
            before = now


# --- what cannot be served ----------------------------------------------------------------------------------------


SOON = warning_s(SPEC)


def test_headroom_is_a_negative_deficit() -> None:
    """60 of load on a reference of 50, with batteries that give 100."""
    need = needs(60 * MW, 50 * MW, fleet(5 * MWH, 5 * MWH), limits(), 120 * MW, SOON)
    assert need.deficit_w < 0
    assert need.surplus_w == 0


def test_power_that_the_batteries_do_not_have_is_a_deficit() -> None:
    """95 on 50 with 20 of battery: 25 are missing, less a ramp step."""
    found = needs(95 * MW, 50 * MW, fleet(9 * MWH, 5 * MWH, 20 * MW), limits(), 120 * MW, SOON)
    assert found.deficit_w == pytest.approx(25 * MW - 0.011 * MW)


def test_a_ramp_broken_by_little_is_no_deficit_but_the_contract_is_exact() -> None:
    """Half a megawatt of tolerance for the ramp, none for the import limit."""
    store = fleet(9 * MWH, 5 * MWH, 20 * MW)
    assert needs(70.4 * MW, 50 * MW, store, limits(), 120 * MW, SOON, 0.5 * MW).deficit_w < 0
    assert needs(71 * MW, 50 * MW, store, limits(), 120 * MW, SOON, 0.5 * MW).deficit_w > 0.4 * MW
    assert needs(140.2 * MW, 120 * MW, store, limits(), 120 * MW, SOON, 0.5 * MW).deficit_w == pytest.approx(0.2 * MW)


def test_energy_that_the_ramp_would_use_up_is_a_deficit() -> None:
    """1 MWh at 6.6 MW/min carries sqrt(2 R η E) = 27.6 MW of gap, not 45."""
    carried = math.sqrt(2 * 6.6 * 60 * 0.96 * 1.0) * MW
    found = needs(95 * MW, 50 * MW, fleet(1 * MWH, 9 * MWH), limits(), 120 * MW, SOON)
    assert found.deficit_w == pytest.approx(45 * MW - carried)


@pytest.mark.parametrize(("energy_wh", "short"), [(25e3, False), (15e3, True)])
def test_what_is_above_the_import_limit_goes_before_the_batteries_are_empty(energy_wh: float, short: bool) -> None:
    """Pre-arming (2.4): 10 MW above the contract for 7 s are 20.3 kWh; with less left a tier must go now.

    Before that nothing must: the ramp's triangle, which would ask for 131 kWh, has no meaning above the limit.
    """
    assert SOON == 7.0
    found = needs(130 * MW, 120 * MW, fleet(energy_wh, 9 * MWH), limits(), 120 * MW, SOON)
    assert (found.deficit_w > 0) is short


@given(st.floats(20, 120), st.floats(0, 60), st.floats(0.01, 8))
def test_a_load_without_deficit_is_carried_to_the_end(reference_mw: float, above_mw: float, energy_mwh: float) -> None:
    """The closed form against a slow run: the highest load without a deficit leaves the battery just not empty."""
    def deficit(load: float) -> float:
        store = fleet(energy_mwh * MWH, 9 * MWH, 1e12)
        return needs(load, reference_mw * MW, store, limits(), 120 * MW, SOON).deficit_w

    load = reference_mw * MW + above_mw * MW - max(0.0, deficit((reference_mw + above_mw) * MW))
    left_wh, reference, lasting_s = energy_mwh * MWH, reference_mw * MW, 0
    while reference < min(load, 120 * MW):
        left_wh -= (load - reference) / 0.96 / 3600
        reference += 0.11 * MW
    while load > 120 * MW and lasting_s < SOON:
        left_wh, lasting_s = left_wh - (load - 120 * MW) / 0.96 / 3600, lasting_s + 1
    assert left_wh > -2 * (load - reference_mw * MW) / 3600


def test_a_surplus_is_what_a_full_battery_cannot_take() -> None:
    """An abort onto a full battery: shedding cannot help, and the report says so."""
    need = needs(25 * MW, 90 * MW, fleet(10 * MWH, 0.0), limits(), 120 * MW, SOON)
    assert need.surplus_w == pytest.approx(65 * MW)
    assert need.deficit_w < 0


# --- no more than needed ------------------------------------------------------------------------------------------

powers_mw = st.lists(st.floats(0, 40), min_size=3, max_size=3)


@settings(max_examples=100, deadline=None)
@given(st.floats(-50, 150), powers_mw)
def test_no_more_goes_than_the_deficit_the_margin_and_one_tier(deficit_mw: float, full_mw: list[float]) -> None:
    """Without its last tier, what went must fall short of the deficit and its margin: that tier was needed too."""
    tiers = Tiers(power_w=[p * MW for p in full_mw])
    tiers.step(deficit_mw * MW)
    tiers.step(deficit_mw * MW)
    gone_w = [t.shed_w for t in tiers.state.tiers if t.engaged]
    if gone_w:
        assert deficit_mw > 0
        assert sum(gone_w[:-1]) < deficit_mw * MW + SPEC.shed_margin_w


@settings(max_examples=30, deadline=None)
@given(inputs)
def test_the_same_inputs_shed_the_same(steps: list[tuple[float, bool, int]]) -> None:
    """Replay and review of a decision stand on it: the rule has no clock and no chance of its own."""
    def states() -> list[ShedState]:
        tiers, found = Tiers(MINIMA), []
        for deficit, trusted, cycles in steps:
            tiers.run(cycles / 10, deficit, trusted=trusted)
            found.append(tiers.state)
        return found

    assert states() == states()


# --- no longer than needed ------------------------------------------------------------------------------------------


def capped(cap_mw: float, drawn_mw: float) -> ShedState:
    """The first tier held, 10 MW before; calm for long with 3 MW of room."""
    held = TierState(True, FIRST_S - 300, 10 * MW, max(0.0, 10 - cap_mw) * MW, cap_w=cap_mw * MW,
                     filtered_w=drawn_mw * MW, asked_s=FIRST_S - 300)
    return ShedState((held, TierState(), TierState()), calm_since_s=FIRST_S - 60, restored_s=FIRST_S - 60,
                     calm_room_w=3 * MW)


@pytest.mark.parametrize(("cap_mw", "drawn_mw", "engaged"), [(11, 9, False), (11, 10.9, True), (9, 8, True)])
def test_a_cap_that_holds_nothing_back_is_released_without_room_for_a_pickup(
    cap_mw: float, drawn_mw: float, engaged: bool
) -> None:
    """It may draw as much as before and draws less: kept, it would keep the tiers before it from coming back."""
    after = decide(SPEC, capped(cap_mw, drawn_mw), -4 * MW, (drawn_mw * MW, 0.0, 0.0), True, FIRST_S, 0.1)
    assert after.tiers[0].engaged is engaged


def test_a_tier_that_was_back_already_is_not_waited_for() -> None:
    """After a release for which nothing rises, nothing is kept free."""
    after = decide(SPEC, capped(11, 9), -4 * MW, (9 * MW, 0.0, 0.0), True, FIRST_S, 0.1)
    assert coming_w(SPEC, after, FIRST_S + 1) == 0


def test_energy_carries_the_mean_of_a_swing_and_power_its_peak() -> None:
    """A swing of 8 MW about 80 with energy for 82: its peaks take 0.02 MWh more, and no tier needs to go for them."""
    stored = fleet(5.1 * MWH, 5 * MWH, 100 * MW)
    assert needs(88 * MW, 20 * MW, stored, limits(), 120 * MW, SOON).deficit_w > 1 * MW
    assert needs(88 * MW, 20 * MW, stored, limits(), 120 * MW, SOON, 0.0, 80 * MW).deficit_w < 0
    weak = fleet(5.1 * MWH, 5 * MWH, 60 * MW)
    assert needs(88 * MW, 20 * MW, weak, limits(), 120 * MW, SOON, 0.0, 80 * MW).deficit_w > 7 * MW


def test_an_empty_battery_does_not_wait_until_a_step_has_lasted() -> None:
    """What the mean does not show yet is carried too: without energy for it the tiers go at once."""
    empty = fleet(0.01 * MWH, 10 * MWH, 100 * MW)
    assert needs(60 * MW, 30 * MW, empty, limits(), 120 * MW, SOON, 0.0, 40 * MW).deficit_w > 9 * MW


def test_the_mean_does_not_see_a_tier_go() -> None:
    """20 MW that a tier takes off are off the lasting load at once, whatever its meter and the filter show."""
    steady = lasting.remembered(SPEC, ShedState(tuple(TierState(filtered_w=20 * MW) for _ in range(3))), 80 * MW,
                                FIRST_S, 0.1)
    gone = steady.tiers[0]._replace(engaged=True, before_w=20 * MW, shed_w=20 * MW, asked_s=FIRST_S, since_s=FIRST_S)
    told = steady._replace(tiers=(gone, *steady.tiers[1:]))
    assert lasting.lasting_w(SPEC, told, 80 * MW, FIRST_S) - pending_w(SPEC, told, FIRST_S) == 60 * MW
    later = lasting.remembered(SPEC, told, 80 * MW, FIRST_S, 0.1)
    assert later.unshed_w == pytest.approx(80 * MW)
