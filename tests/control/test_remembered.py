"""Tiers over a restart: what is shed stays shed, and nothing is written that a device does not hold already."""

import math
from pathlib import Path

import pytest
from msgspec.structs import replace
from virtual import FIRST_S, MW, World, bad, demo_site, good, small_spec, tier_spec

from pswd_edge.clock import FakeClock
from pswd_edge.control.rules.remembered import observed, taken_up
from pswd_edge.control.rules.shed import ShedState, TierState
from pswd_edge.control.tier_file import FILE, TierFile
from pswd_edge.model.command import Mode
from pswd_edge.model.kept import KeptTier
from pswd_edge.model.snapshot import Reading, freeze

NAMES = ("s1", "s2", "s3")
UTC_S = 1e9
SHOWS = {"t1": 70, "t2": 71, "t3": 72}


def spec_of(**changes):
    """The small site; what each cap holds can be read."""
    return small_spec(tiers=tuple(tier_spec(n, read_back=p, shown=(0.0, 25 * MW), tolerance=0.1 * MW, **changes)
                                  for n, p in SHOWS.items()))


SPEC = spec_of()


def kept(**changes) -> KeptTier:
    """The first tier, held at 8 of 20 MW for 40 s by now."""
    tier = KeptTier("t1", "s1", engaged=True, since_utc_s=UTC_S - 40, before_w=20 * MW, cap_w=8 * MW,
                    recent_utc_s=(UTC_S - 5000, UTC_S - 900, UTC_S - 40))
    return replace(tier, **changes)


def after(*tiers: KeptTier, utc_s: float = UTC_S) -> ShedState:
    return taken_up(SPEC, NAMES, {t.id: t for t in tiers}, FIRST_S, utc_s)


def seen(shed: ShedState, *, spec=SPEC, now_s: float = FIRST_S, **values: float | Reading) -> ShedState:
    """One look at the devices, in OBSERVE; a number is a good value of now."""
    readings = {SHOWS[n]: v if isinstance(v, Reading) else good(v, now_s) for n, v in values.items()}
    return observed(spec, shed, freeze(1, now_s, UTC_S, readings))


# --- what was written down ----------------------------------------------------------------------------------------


def test_an_engaged_tier_is_engaged_again_with_its_power_and_its_times() -> None:
    """Else a restart gives back in one step what the site cannot serve."""
    tier = after(kept()).tiers[0]
    assert (tier.engaged, tier.before_w, tier.cap_w, tier.shed_w) == (True, 20 * MW, 8 * MW, 12 * MW)
    assert tier.since_s == FIRST_S - 40
    assert tier.recent_s == (FIRST_S - 900, FIRST_S - 40)


def test_a_released_tier_keeps_its_minimum_time_off_and_its_count() -> None:
    """A restart is no way around max_events_per_h."""
    tier = after(kept(engaged=False)).tiers[0]
    assert not tier.engaged
    assert tier.since_s == FIRST_S - 40
    assert len(tier.recent_s) == 2


def test_a_clock_that_was_set_back_lets_all_times_begin_at_the_restart() -> None:
    """A time of day from before the shedding says nothing of how long ago it was: the longest wait is the safe one."""
    tier = after(kept(), utc_s=UTC_S - 7200).tiers[0]
    assert tier.since_s == FIRST_S
    assert tier.recent_s == (FIRST_S, FIRST_S, FIRST_S)


@pytest.mark.parametrize("stranger", [
    kept(setpoint="another"), kept(before_w=math.nan), kept(cap_w=math.inf), kept(since_utc_s=-math.inf),
    kept(cap_w=-1.0), kept(id="t9")])
def test_what_is_of_another_tier_or_no_number_is_not_taken_up(stranger: KeptTier) -> None:
    """A cap of NaN would pass every comparison, and another set-point is another load."""
    assert after(stranger).tiers == (TierState(),) * 3


# --- what the devices hold ----------------------------------------------------------------------------------------


def test_a_cap_that_is_held_as_remembered_is_left_as_it_is() -> None:
    """Within the tolerance of the read-back: no set-point moves at the start."""
    shed = after(kept())
    assert seen(shed, t1=8.05 * MW, t2=25 * MW) == shed


def test_a_tier_that_somebody_gave_back_meanwhile_is_not_cut_again() -> None:
    """While control was away the operator is the master; the time off begins with what was seen."""
    tier = seen(after(kept()), t1=25 * MW).tiers[0]
    assert (tier.engaged, tier.since_s) == (False, FIRST_S)


def test_a_cap_that_was_moved_meanwhile_is_taken_as_it_is() -> None:
    """The first write must be what the device holds."""
    tier = seen(after(kept()), t1=12 * MW).tiers[0]
    assert (tier.engaged, tier.cap_w, tier.shed_w) == (True, 12 * MW, 8 * MW)


@pytest.mark.parametrize("shown", [bad(), good(25 * MW, FIRST_S - 39)])
def test_a_read_back_that_is_bad_or_older_than_the_order_says_nothing(shown: Reading) -> None:
    """The tier was ordered 40 s ago and takes 2 s: a value of 39 s ago is from before."""
    shed = after(kept())
    assert seen(shed, t1=shown) == shed


def test_where_nothing_is_known_a_low_cap_counts_as_engaged() -> None:
    """Its rating is the most that it may have drawn, and its times begin now."""
    found = seen(ShedState((TierState(),) * 3, unknown=True), t1=10 * MW, t2=25 * MW)
    assert [t.engaged for t in found.tiers] == [True, False, False]
    assert (found.tiers[0].before_w, found.tiers[0].cap_w, found.tiers[0].since_s) == (25 * MW, 10 * MW, FIRST_S)


def test_where_it_is_known_a_low_cap_is_somebody_else_s() -> None:
    """A program's cap is no shedding."""
    shed = ShedState((TierState(),) * 3)
    assert seen(shed, t1=10 * MW) == shed


def test_an_outlet_that_is_off_is_not_taken_for_ours_without_memory() -> None:
    """What a technician has switched off must not be switched on by a restart."""
    spec = spec_of(action="outlet")
    shed = ShedState((TierState(),) * 3, unknown=True)
    assert seen(shed, spec=spec, t1=0.0) == shed


def test_an_outlet_that_is_on_again_was_given_back() -> None:
    """Its two values are compared as the device shows them."""
    spec = spec_of(action="outlet")
    assert not seen(after(kept()), spec=spec, t1=25 * MW).tiers[0].engaged
    assert seen(after(kept()), spec=spec, t1=0.0).tiers[0].engaged


# --- in the law -----------------------------------------------------------------------------------------------------


def restarted(shed: ShedState, seconds: float = 5.0) -> World:
    """A new process in OBSERVE: 62 MW of load, of which the first tier's 8 are what is left of 20."""
    world = World(SPEC, 62 * MW)
    world.state = world.state._replace(shed=shed)
    world.tier_w = {"t1": 8 * MW, "t2": 20 * MW, "t3": 20 * MW}
    world.override = {}
    for _ in range(round(seconds * 10)):
        world.override = {70: good(8 * MW, world.time_s)}
        world.step(Mode.OBSERVE)
    return world


def test_a_tier_does_not_toggle_at_the_start_and_comes_back_by_the_ordinary_rule() -> None:
    """OBSERVE for 5 s, then AUTO: 30 s of calm are asked for, and only then the cap is raised."""
    world, changed = restarted(after(kept(since_utc_s=UTC_S))), []
    for k in range(600):
        before = world.state.shed.tiers[0]
        world.step(Mode.AUTO)
        now = world.state.shed.tiers[0]
        if (now.engaged, now.cap_w) != (before.engaged, before.cap_w):
            changed.append(k / 10)
    assert not world.state.shed.tiers[0].engaged
    assert changed[0] >= SPEC.release_after_s


def test_a_tier_that_was_just_given_back_is_not_cut_for_its_minimum_time() -> None:
    """The batteries are lost right after the restart: the next tier goes, not the one that has just come back."""
    world = World(SPEC, 62 * MW)
    world.state = world.state._replace(shed=after(kept(engaged=False, since_utc_s=UTC_S - 5)))
    world.tier_w = dict.fromkeys(world.tier_w, 20 * MW)
    world.run(20)
    world.load_w = 110 * MW
    world.soc_percent = dict.fromkeys(world.soc_percent, 10.0)
    world.run(50)
    assert [t.engaged for t in world.state.shed.tiers][:2] == [False, True]


def test_auto_forgets_that_nothing_was_known() -> None:
    """A cap that a program lowers a day later is no tier."""
    world = World(SPEC, 62 * MW)
    world.state = world.state._replace(shed=world.state.shed._replace(unknown=True))
    world.run(3)
    assert not world.state.shed.unknown


# --- the file -------------------------------------------------------------------------------------------------------


@pytest.fixture
def site():
    return demo_site()


class Told:
    """What the journal was told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str, str]] = []

    def __call__(self, *line: str) -> None:
        self.lines.append(line)  # type: ignore[arg-type]


def shed_of(site, now_s: float) -> ShedState:
    """The first tier held at 6 of 15 MW since 20 s."""
    first = TierState(True, now_s - 20, 15 * MW, 9 * MW, cap_w=6 * MW, recent_s=(now_s - 20,), filtered_w=6 * MW)
    return ShedState((first, *(TierState() for _ in site.control.tiers[1:])))


def test_what_is_written_is_what_is_taken_up_a_minute_later(tmp_path: Path, site) -> None:
    """The monotonic clock begins anew with a boot: only the time of day joins both processes."""
    clock, told = FakeClock(), Told()
    file = TierFile(tmp_path / FILE, clock)
    assert file.take_up(site, told).unknown
    file.note(site, shed_of(site, clock.monotonic_s()))
    file.close()
    clock.advance(60)
    found = TierFile(tmp_path / FILE, clock).take_up(site, told)
    assert not found.unknown
    assert found.tiers[0].cap_w == 6 * MW
    assert clock.monotonic_s() - found.tiers[0].since_s == pytest.approx(80)
    assert told.lines == [("info", "tier", "throttle-1", "throttle-1: still shed, 9.0 MW less")]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"site": "campus-north", "utc_s": 1, "tiers": [{"id": "t"}]}',
                                     b'{"site": "elsewhere", "utc_s": 1.0, "tiers": []}', b"\xff\x00"])
def test_a_file_that_is_damaged_or_of_another_site_costs_no_start(tmp_path: Path, site, content: bytes) -> None:
    """It is told once, and then the devices are asked."""
    (tmp_path / FILE).write_bytes(content)
    told = Told()
    found = TierFile(tmp_path / FILE, FakeClock()).take_up(site, told)
    assert found.unknown
    assert not any(t.engaged for t in found.tiers)
    assert [line[1] for line in told.lines] == ["tiers_unknown"]


def test_nothing_is_written_over_before_the_devices_were_asked(tmp_path: Path, site) -> None:
    """A second restart during OBSERVE must know as much as the first."""
    (tmp_path / FILE).write_bytes(b"{")
    clock = FakeClock()
    file = TierFile(tmp_path / FILE, clock)
    shed = file.take_up(site, Told())
    file.note(site, shed)
    file.close()
    assert (tmp_path / FILE).read_bytes() == b"{"


def test_a_disk_that_is_full_is_told_and_tried_again(tmp_path: Path, site) -> None:
    """It can be written again: that is done though nothing changed meanwhile."""
    clock, path = FakeClock(), tmp_path / FILE
    file, shed = TierFile(path, clock), shed_of(site, clock.monotonic_s())
    path.mkdir()
    file.note(site, shed)
    file._file._thread.submit(lambda: None).result()
    assert "cannot be written" in file.trouble
    path.rmdir()
    file.note(site, shed)
    file.close()
    assert file.trouble == ""
    assert path.is_file()


def test_without_a_path_nothing_is_kept_and_nothing_asked(site) -> None:
    """In shadow mode nothing was shed."""
    file = TierFile(None, FakeClock())
    assert not file.take_up(site, Told()).unknown
    file.note(site, shed_of(site, 0.0))
    file.close()


def test_the_compiled_tiers_know_what_shows_their_set_points(site) -> None:
    """The demo's outlets are coded apart in what is written and what is shown."""
    for tier in site.control.tiers:
        rule = site.points[tier.setpoint].write
        assert rule is not None
        assert tier.read_back == rule.read_back is not None
        coded = rule.read_back_values
        assert tier.shown == tuple(coded.get(int(v), v) for v in (tier.engaged_value, tier.released_value))


