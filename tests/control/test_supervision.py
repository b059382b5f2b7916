"""Supervisors that must be heard while they hold something: silence lets go, never loosens, and is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import test_cycle
from desk_case import CAP, SITE, SPEC, Room, _envelope, announce, limit_request, set_point, target
from msgspec.structs import replace
from virtual import MW, World, small_spec

from pswd_edge.config import compile_site
from pswd_edge.control.supervision import Watch
from pswd_edge.errors import ConfigError
from pswd_edge.model.command import Accepted, Heartbeat, Level, Mode, Rejected, SetMode
from pswd_edge.model.control import OnSilence, Supervisor

DEMO = (Path(__file__).parents[2] / "config" / "demo.yaml").read_text()
ALICE = Supervisor("api:alice", "api:alice", None, 5.0)


def beat(origin: str = "api:alice", **changes: object) -> Heartbeat:
    return Heartbeat(**{**_envelope(changes), "origin": origin, "ttl_s": 0.0})


class Watched(Room):
    """A room whose site declares supervisors; `pass_` is a while without a word."""

    def __init__(self, folder: Path, *supervisors: Supervisor) -> None:
        super().__init__(folder)
        self.site = replace(SITE, control=replace(SPEC, supervision=supervisors))

    def pass_(self, seconds: float) -> list[str]:
        self.later(seconds)
        return [s.name for s in self.desk.unheard(self.clock.monotonic_s())]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Watched]:
    made = Watched(tmp_path, ALICE)
    await made.start()
    yield made
    await made.ledger.close()


async def test_silence_lets_go_of_set_points_and_targets_and_keeps_limits(room: Watched) -> None:
    """What would loosen the site by a lost line stays: a limit runs out by its own time only."""
    for request in (set_point(5e6), target(5e6), limit_request("import_limit_w", 60 * MW)):
        assert not isinstance(await room.ask(request), Rejected)
    assert room.pass_(5.0) == []
    assert room.desk.target is not None
    assert room.pass_(0.1) == ["api:alice"]
    assert (room.values(), room.desk.target) == ([], None)
    assert room.desk.tightest["import_limit_w"].value == 60 * MW
    assert room.desk.silent == ("api:alice",)
    assert room.pass_(60.0) == []
    assert room.desk.tightest == {}


async def test_a_heartbeat_or_any_accepted_request_is_a_word(room: Watched) -> None:
    """A refused one is not: a program that only sends nonsense is no supervisor."""
    await room.ask(set_point(5e6, ttl_s=600.0))
    for request in (beat(), announce(), beat()):
        assert room.pass_(4.0) == []
        assert isinstance(await room.ask(request), Accepted)
    room.pass_(4.0)
    assert isinstance(await room.ask(set_point(5e6, "no.such")), Rejected)
    assert room.pass_(1.1) == ["api:alice"]


async def test_who_holds_nothing_may_be_silent(room: Watched) -> None:
    """And is silent at once when it takes something after long quiet, but for the word that the request is."""
    assert room.pass_(1000.0) == []
    await room.ask(set_point(5e6, ttl_s=600.0))
    assert room.pass_(4.9) == []
    await room.ask(set_point(None))
    assert room.pass_(1000.0) == []
    assert room.desk.silent == ()


async def test_others_keep_what_they_hold(room: Watched) -> None:
    """One line that is cut is not everybody's; the operator's set-point of the same rack stays."""
    await room.ask(set_point(5e6))
    await room.ask(set_point(7e6, origin="console"), Level.OPERATOR)
    await room.ask(target(5e6, origin="api:bob"))
    assert room.pass_(5.1) == ["api:alice"]
    assert room.values() == [7e6]
    assert room.desk.target is not None


async def test_its_next_word_ends_the_silence(room: Watched) -> None:
    """It holds nothing then; it has to ask again for what it wants."""
    await room.ask(set_point(5e6))
    room.pass_(5.1)
    assert isinstance(await room.ask(beat()), Accepted)
    assert (room.desk.silent, room.values()) == ((), [])
    await room.ask(set_point(6e6))
    assert room.pass_(5.1) == ["api:alice"]


async def test_a_heartbeat_that_nobody_waits_for_is_refused(room: Watched) -> None:
    """A wrong name in the site file is found by the program that sends it, not by its silence."""
    outcome = await room.ask(beat("api:mallory"))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "not_found"
    assert "control.supervision" in outcome.reason
    stale = await room.desk.handle(beat(issued_utc_s=room.clock.utc_s() - 60.0), Level.API)
    assert isinstance(stale, Rejected)
    assert stale.code == "expired"


async def test_a_heartbeat_is_not_written_down(room: Watched) -> None:
    """One a second would fill the ledger with nothing."""
    outcome = await room.ask(beat())
    assert await room.ledger.find(outcome.id) is None


async def test_a_level_is_one_supervisor(tmp_path: Path) -> None:
    """All programs behind the gateway together: any of them is a word, and all lose what they hold."""
    room = Watched(tmp_path, Supervisor("api", "", int(Level.API), 5.0))
    await room.start()
    await room.ask(set_point(5e6, ttl_s=600.0))
    await room.ask(set_point(7e6, origin="console", ttl_s=600.0), Level.OPERATOR)
    room.pass_(4.0)
    await room.ask(beat("api:bob"))
    assert room.pass_(4.0) == []
    assert room.pass_(1.1) == ["api"]
    assert room.values() == [7e6]
    await room.ledger.close()


async def test_a_limit_of_a_silent_utility_does_not_run_out(tmp_path: Path) -> None:
    """Its line is down, not its grid; heard again it has a period to renew it."""
    utility = Supervisor("operator", "", int(Level.OPERATOR), 5.0, "hold_limit")
    room = Watched(tmp_path, utility)
    await room.start()
    await room.ask(limit_request("import_limit_w", 60 * MW, origin="operator:utility"), Level.OPERATOR)
    assert room.pass_(5.1) == ["operator"]
    room.pass_(3600.0)
    assert room.desk.tightest["import_limit_w"].value == 60 * MW
    await room.ask(beat("operator:utility"), Level.OPERATOR)
    room.later(4.9)
    assert "import_limit_w" in room.desk.tightest
    room.later(0.2)
    assert room.desk.tightest == {}
    await room.ledger.close()


async def test_a_restart_gives_a_supervisor_its_period_again(room: Watched) -> None:
    """What it holds is restored from the ledger; its heartbeats are not there."""
    await room.ask(set_point(5e6, ttl_s=600.0))
    await room.restart(4.0)
    assert room.values() == [5e6]
    assert room.pass_(4.9) == []
    assert room.pass_(0.2) == ["api:alice"]


def test_a_reload_keeps_who_was_heard_when() -> None:
    """Neither a new period for a silent one nor silence for a new one."""
    watch = Watch((ALICE,), 0.0)
    watch.newly_silent(lambda _: True, 6.0)
    bob = Supervisor("api:bob", "api:bob", None, 5.0)
    after = watch.moved((ALICE, bob), 7.0)
    assert after.silent == ("api:alice",)
    assert after.newly_silent(lambda _: True, 11.9) == []
    assert after.newly_silent(lambda _: True, 12.1) == [bob]
    assert after.moved((bob,), 13.0).silent == ("api:bob",)


def test_a_target_that_is_let_go_makes_no_step() -> None:
    """The reference goes from where it is, at the ramp: the grid does not see who went away."""
    world = World(small_spec(), 60 * MW)
    world.run(50)
    for _ in range(600):
        world.step(target_w=20 * MW)
    before = world.grid_w
    assert world.battery_w > 5 * MW
    for _ in range(100):
        decision = world.step(silent=("api:alice",))
        assert abs(world.grid_w - before) <= world.spec.ramp_up_w_per_s * 0.1 + 1.0
        assert decision.degraded == ("supervision_lost:api:alice",)
        assert decision.starts
        before = world.grid_w


@pytest.mark.parametrize(("on_silence", "mode"), [("release", Mode.AUTO), ("safe", Mode.SAFE)])
async def test_the_cycle_tells_it_and_goes_to_safe_where_the_site_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_silence: OnSilence, mode: Mode
) -> None:
    """An event, an alarm by the supervisor's name, a degraded mode; SAFE is left by the operator's order alone."""
    supervisor = replace(ALICE, period_s=1.0, on_silence=on_silence)
    site = replace(SITE, control=replace(SPEC, supervision=(supervisor,)))
    monkeypatch.setattr(test_cycle, "site", lambda: site)
    rig = test_cycle.Rig(tmp_path, monkeypatch)
    await rig.cycle.desk.restore()
    await rig.run(60)
    cap = set_point(5e6, ttl_s=600.0, issued_utc_s=rig.clock.utc_s())
    assert isinstance(await rig.cycle.handle(cap, Level.API), Accepted)
    assert (await rig.run(9)).mode is Mode.AUTO
    assert rig.field.applied[-1][CAP] == 5e6
    report = await rig.run(5)
    assert report.mode is mode
    assert "supervision_lost:api:alice" in report.degraded
    assert "supervision_lost:api:alice" in [a.code for a in report.alarms]
    assert len(rig.events("supervision_lost")) == 1
    assert rig.field.applied[-1][CAP] == 25 * MW
    heard = await rig.cycle.handle(beat(issued_utc_s=rig.clock.utc_s()), Level.API)
    assert isinstance(heard, Accepted)
    report = await rig.run(3)
    assert report.mode is mode
    assert "supervision_lost:api:alice" not in report.degraded
    order = SetMode(**{**_envelope({}), "issued_utc_s": rig.clock.utc_s()}, mode=Mode.AUTO)
    await rig.cycle.handle(order, Level.OPERATOR)
    assert (await rig.run(3)).mode is Mode.AUTO
    await rig.ledger.close()
    rig.bell.close()
    rig.reader.close()


@pytest.mark.parametrize(("part", "said"), [
    ("{period_s: 5}", "supervision[0]: got neither origin nor level: expected one of them"),
    ("{origin: 'api:a', level: api, period_s: 5}", "supervision[0]: got origin and level: expected one of them"),
    ("{origin: 'api:a', period_s: 5}, {origin: 'api:a', period_s: 9}", "supervision[1]: got api:a again"),
    ("{origin: 'api:a', period_s: 0.1}", "supervision[0].period_s"),
    ("{origin: 'api:a', period_s: 5, on_silence: panic}", "supervision[0].on_silence"),
])
def test_what_cannot_be_supervised_is_refused_with_its_place(tmp_path: Path, part: str, said: str) -> None:
    """Found by `check`, with its line."""
    path = tmp_path / "site.yaml"
    path.write_text(DEMO.replace("  thermal:\n", f"  supervision: [{part}]\n  thermal:\n", 1))
    with pytest.raises(ConfigError) as caught:
        compile_site(path, {})
    assert said in str(caught.value)
    assert "site.yaml:" in str(caught.value)


def test_supervisors_compile(tmp_path: Path) -> None:
    """By origin or by level, released where nothing is said."""
    path = tmp_path / "site.yaml"
    part = "[{origin: 'api:scheduler', period_s: 30}, {level: operator, period_s: 5, on_silence: safe}]"
    path.write_text(DEMO.replace("  thermal:\n", f"  supervision: {part}\n  thermal:\n", 1))
    assert compile_site(path, {}).site.control.supervision == (
        Supervisor("api:scheduler", "api:scheduler", None, 30.0, "release"),
        Supervisor("operator", "", int(Level.OPERATOR), 5.0, "safe"))
