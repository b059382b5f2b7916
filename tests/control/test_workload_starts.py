"""Workloads that are held back: until their time, their predecessors and their room have come, through restarts."""

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from desk_case import CLOCK_UTC_S, SPEC, Room, announce, order
from msgspec.structs import replace

from pswd_edge.control.facts import Facts
from pswd_edge.control.rules.placement import headroom
from pswd_edge.control.turns import Turns
from pswd_edge.model.command import Accepted, Clamped, Failed, Mode, Rejected
from pswd_edge.model.workload import Headroom, Offer, PowerStep, WorkloadState

MW = 1e6
SLOW = {"ramp_w_per_s": 0.05 * MW, "baseline_w": 1 * MW, "can_throttle": False}


class Starting(Room):
    """A desk with its turns; racks draw `racks_w`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.racks_w = [0.5 * MW] * 4
        self.told: list[str] = []
        self.known = {"rack_w": lambda c: self.racks_w[c], "usable_wh": 50e6, "load_w": 40 * MW}

    async def start(self) -> None:
        await super().start()
        self.turns = Turns(self.desk, self.clock, self.facts, self.told.append)

    def facts(self) -> Facts:
        """With the headroom that is left, as the cycle reckons it."""
        found = super().facts()
        live = tuple(self.desk.workloads.values())
        room = headroom(self.site.control, found.limits, live, found.load_w, found.heat_w, found.usable_wh)
        return found if "headroom" in self.known else found._replace(headroom=room)

    async def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.desk.expire(self.clock.monotonic_s())
        await self.turns.turn()

    async def job_at(self, name: str, start_s: float | None, peak_mw: float = 10, offer: Offer | None = None,
                     **said: object):
        start = None if start_s is None else self.clock.utc_s() + start_s
        workload = {**SLOW, "peak_w": peak_mw * MW, "earliest_start_utc_s": start, **said}
        return await self.ask(announce(name, workload=workload, offer=offer))

    def caps_mw(self) -> dict[str, float]:
        self.desk.ease(0.1, lambda _: math.nan)
        names = {c.cap: c.id for c in SPEC.load_controllers}
        return {names[b.point]: round(b.high / MW, 3) for b in self.desk.bounds()}

    def runs(self) -> list[tuple[int, float]]:
        return [(c.point, c.value) for c in self.desk.candidates()]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Starting]:
    made = Starting(tmp_path)
    await made.start()
    yield made
    await made.ledger.close()


async def test_a_job_that_is_to_come_later_is_held_at_idle_and_let_go_in_time(room: Starting) -> None:
    """Approved, but its rack neither runs nor gets its power before the moment that was announced."""
    outcome = await room.job_at("wl-1", 60.0)
    assert isinstance(outcome, Accepted)
    assert outcome.workload.state is WorkloadState.APPROVED
    assert outcome.workload.held.startswith("starts at ")
    assert room.caps_mw() == {"rack-1": 1.0}
    [(_, code)] = room.runs()
    assert code == 2.0    # pause
    await room.after(59.0)
    assert room.job().held
    await room.after(1.1)
    assert (room.job().held, room.job().started_utc_s) == ("", room.clock.utc_s())
    assert room.caps_mw() == {}
    assert [code for _, code in room.runs()] == [1.0]
    assert room.told == ["wl-1: start"]


async def test_a_job_without_a_start_time_starts_at_once(room: Starting) -> None:
    """As ever: nothing of it is held back."""
    await room.job_at("wl-1", None)
    assert (room.job().held, room.job().started_utc_s) == ("", CLOCK_UTC_S)
    assert (room.caps_mw(), room.runs()) == ({}, [])


async def test_a_wall_clock_that_is_set_does_not_start_a_job(room: Starting) -> None:
    """Ends and starts run on the monotonic clock."""
    await room.job_at("wl-1", 60.0)
    room.clock.step_utc(3600.0)
    await room.after(1.0)
    assert room.job().held


async def test_a_start_survives_a_restart_of_control(room: Starting) -> None:
    """One that runs must not be judged again, with its own load in its way; one that waits goes on waiting."""
    await room.job_at("wl-1", 60.0)
    await room.job_at("wl-2", 300.0)
    await room.after(61.0)
    room.known["load_w"] = 124 * MW
    await room.restart(10.0)
    await room.after(1.0)
    assert room.job("wl-1").held == ""
    assert room.job("wl-2").held
    room.known["load_w"] = 40 * MW
    await room.after(300.0)
    assert room.job("wl-2").held == ""


async def test_a_start_that_passed_while_control_was_down_comes_when_it_is_back(room: Starting) -> None:
    """Late, and judged on what is there then."""
    await room.job_at("wl-1", 60.0)
    await room.restart(3600.0)
    assert room.job().held
    await room.after(0.1)
    assert room.job().held == ""


async def test_without_room_at_its_start_a_job_stays_held_and_says_why(room: Starting) -> None:
    """An approval for later is no promise against all that may come: no limit is passed for it."""
    await room.job_at("wl-1", 60.0, peak_mw=20)
    room.known["load_w"] = 110 * MW
    await room.after(61.0)
    assert room.job().held == "grid power allows 15.0 MW of its 20.0 MW now"
    room.known["load_w"] = 100 * MW
    await room.after(1.1)
    assert room.job().held == ""


@pytest.mark.parametrize("known", [{"ready": "inputs: grid"}, {"mode": Mode.SAFE}])
async def test_a_blind_or_safe_site_starts_nothing(room: Starting, known: dict[str, object]) -> None:
    """What cannot be judged is not let go."""
    await room.job_at("wl-1", 60.0)
    room.known |= known
    await room.after(61.0)
    assert room.job().held


async def test_two_jobs_that_follow_each_other_share_a_rack_and_the_second_waits(room: Starting) -> None:
    """100 MW of racks but 25 MW of power: the second is approved for after the first's end, and starts when it ends."""
    await room.job_at("first", None, peak_mw=20, duration_s=600)
    refused = await room.job_at("second", 300.0, peak_mw=20)
    assert refused.workload.state is WorkloadState.REJECTED
    found = await room.job_at("third", 600.0, peak_mw=20)
    assert found.workload.state is WorkloadState.APPROVED
    assert found.workload.controllers == (0,)
    await room.after(601.0)
    assert room.job("third").held == "grid power allows 5.0 MW of its 20.0 MW now"    # the first takes longer
    await room.ask(order("terminate", "first"))
    await room.after(1.1)
    assert room.job("third").held == ""


async def test_a_rack_that_is_still_in_use_keeps_a_job_waiting(room: Starting) -> None:
    """There is power enough for both, but not on the one rack that was to be free by now."""
    room.site = replace(room.site, control=replace(SPEC, load_ceiling_w=50 * MW))
    await room.restart()
    await room.job_at("first", None, peak_mw=20, duration_s=600)
    assert (await room.job_at("second", 600.0, peak_mw=20)).workload.controllers == (0,)
    await room.after(601.0)
    assert room.job("second").held == "rack-1 still serves another workload"


async def test_a_job_in_front_of_a_promised_start_ends_in_time(room: Starting) -> None:
    """An announced duration is an estimate; approved as a limit it is one, so that the promised start is kept."""
    await room.job_at("later", 1000.0, peak_mw=20)
    endless = await room.job_at("now", None, peak_mw=20, duration_s=900)
    assert endless.workload.state is WorkloadState.REJECTED
    bounded = await room.job_at("now", None, peak_mw=20, duration_s=900, offer=Offer(None, None, 900.0))
    assert (bounded.workload.state, bounded.workload.conditions) == (
        WorkloadState.CONDITIONAL, ("ends 900 s after its start",))
    await room.after(899.0)
    assert room.job("now").state is WorkloadState.CONDITIONAL
    await room.after(1.1)
    assert room.job("now").state is WorkloadState.TERMINATED
    assert room.job("now").reason == "it has run for the 900 s that were approved"
    await room.after(101.0)
    assert room.job("later").held == ""


async def test_a_duration_limit_goes_on_through_a_restart_and_a_throttle(room: Starting) -> None:
    """Another order must not give the time back."""
    await room.job_at("wl-1", None, offer=Offer(None, None, 600.0))
    await room.after(300.0)
    await room.ask(order("throttle", target_w=5 * MW))
    await room.restart(200.0)
    await room.after(99.0)
    assert room.job().state is WorkloadState.THROTTLED
    await room.after(2.0)
    assert room.job().state is WorkloadState.TERMINATED


async def test_an_offer_caps_and_delays(room: Starting) -> None:
    """What the gateway has worked out beforehand; control says it in its conditions."""
    offer = Offer(room.clock.utc_s() + 300.0, 6 * MW)
    found = (await room.job_at("wl-1", None, can_throttle=True, offer=offer)).workload
    assert (found.state, found.approved_w) == (WorkloadState.CONDITIONAL, 6 * MW)
    assert found.conditions[0].startswith("power capped at 6.0 MW: the plan allows 6.0 MW of the 10.0 MW")
    assert found.conditions[1].startswith("starts at ")
    assert found.held


async def test_a_job_waits_for_those_that_it_depends_on(room: Starting) -> None:
    """While they are live; what is not known here cannot be waited for."""
    await room.job_at("data", None)
    found = await room.job_at("train", None, dependencies=("data", "elsewhere"))
    assert found.workload.held == "waits for the end of data"
    await room.after(100.0)
    assert room.job("train").held
    await room.ask(order("terminate", "data"))
    await room.after(1.1)
    assert room.job("train").held == ""


async def test_jobs_that_wait_for_each_other_are_refused(room: Starting) -> None:
    """They would hold their reservation for ever."""
    await room.job_at("a", None)
    await room.job_at("b", None, dependencies=("a",))
    await room.ask(order("terminate", "a"))
    found = (await room.job_at("a", None, dependencies=("b",))).workload
    assert (found.state, found.conditions) == (WorkloadState.REJECTED, ("dependencies: a waits for b waits for a",))


async def test_a_latest_start_that_passes_ends_a_job_with_its_reason(room: Starting) -> None:
    """Its racks are given back as they were."""
    await room.job_at("wl-1", 60.0, peak_mw=20, latest_start_utc_s=room.clock.utc_s() + 120.0)
    room.known["load_w"] = 124 * MW
    await room.after(61.0)
    assert [code for _, code in room.runs()] == [2.0]
    await room.after(60.0)
    assert room.job().state is WorkloadState.EXPIRED
    assert room.job().reason == "its latest start has passed; until then: grid power allows 1.0 MW of its 20.0 MW now"
    assert [code for _, code in room.runs()] == [1.0]
    await room.restart(1.0)
    assert room.job().state is WorkloadState.EXPIRED


async def test_what_runs_unannounced_on_its_racks_is_left_alone_while_it_waits(room: Starting) -> None:
    """Announcing a job for tomorrow must not halt what its racks do today."""
    room.racks_w = [12 * MW, 12 * MW, 12 * MW, 12 * MW]
    await room.job_at("wl-1", 60.0)
    assert room.caps_mw() == {"rack-1": 12.0}
    assert room.runs() == []
    await room.after(61.0)
    assert room.caps_mw() == {}


async def test_on_a_shared_rack_the_others_keep_their_share(room: Starting) -> None:
    """One job fills three racks and a half; on the half that is left another one waits."""
    room.known["headroom"] = Headroom(125 * MW, 125 * MW, 125 * MW)
    await room.job_at("runs", None, peak_mw=90)
    waits = await room.job_at("waits", 60.0, peak_mw=10)
    assert waits.workload.controllers == (3,)
    assert room.caps_mw() == {"rack-4": 15.0 + 1.0}
    assert room.runs() == []    # the neighbour runs on


async def test_a_job_that_waits_can_be_ended_paused_and_throttled_but_not_resumed(room: Starting) -> None:
    """A throttle counts from the start on; nobody can resume past a judgement."""
    await room.job_at("wl-1", 60.0)
    refused = await room.ask(order("resume"))
    assert isinstance(refused, Rejected)
    assert refused.code == "conflict"
    assert "has not started yet: starts at" in refused.reason
    await room.ask(order("throttle", target_w=4 * MW))
    assert room.caps_mw() == {"rack-1": 1.0}
    await room.after(61.0)
    assert room.caps_mw() == {"rack-1": 4.0}


async def test_a_job_that_was_ended_before_its_start_stops_no_rack(room: Starting) -> None:
    """It never ran there."""
    await room.job_at("wl-1", 60.0)
    room.desk.candidates()
    await room.ask(order("terminate"))
    assert [code for _, code in room.runs()] == [1.0]


async def test_a_pause_is_no_longer_than_the_job_bears(room: Starting) -> None:
    """Announced flexibility bounds an open pause; the answer says so."""
    await room.job_at("wl-1", None, max_pause_s=900)
    outcome = await room.ask(order("pause"))
    assert isinstance(outcome, Clamped)
    assert (outcome.limit, outcome.value) == ("max_pause", 900.0)
    await room.after(901.0)
    assert room.job().state is WorkloadState.APPROVED


async def test_a_throttle_of_a_job_that_cannot_be_throttled_is_done_and_told(room: Starting) -> None:
    """Who may order answers for it."""
    await room.job_at("wl-1", None)
    outcome = await room.ask(order("throttle", target_w=4 * MW))
    assert isinstance(outcome, Accepted)
    assert outcome.reason.startswith("it was announced as one that cannot be throttled")


# --- migration --------------------------------------------------------------------------------------------------------


async def test_migration_drains_and_then_ends(room: Starting) -> None:
    """Down to idle by its ramp; gone when its racks are measured to idle, not before."""
    room.site = replace(room.site, control=replace(SPEC, migration_targets=("site-b",)))
    await room.restart()
    await room.job_at("wl-1", None, can_migrate=True)
    room.racks_w[0] = 9 * MW
    outcome = await room.ask(order("migrate", migration_target="site-b", ramp_w_per_s=1 * MW))
    assert (outcome.workload.state, outcome.workload.migration_target) == (WorkloadState.MIGRATING, "site-b")
    room.desk.ease(1.0, lambda _: math.nan)
    assert room.caps_mw() == {"rack-1": 8.9}
    await room.after(30.0)
    assert room.job().state is WorkloadState.MIGRATING
    room.racks_w[0] = float("nan")
    await room.after(1.1)
    assert room.job().state is WorkloadState.MIGRATING
    room.racks_w[0] = 1.1 * MW
    await room.after(1.1)
    assert (room.job().state, room.job().reason) == (WorkloadState.TERMINATED, "handed over to site-b")


@pytest.mark.parametrize(("targets", "said", "target", "words"), [
    ((), {"can_migrate": True}, "", "this site knows no other"),
    (("site-b",), {}, "", "announced as one that cannot migrate"),
    (("site-b",), {"can_migrate": True}, "site-c", "site-c is none of site-b"),
])
async def test_a_migration_that_leads_nowhere_is_refused(room: Starting, targets, said, target: str,
                                                         words: str) -> None:
    """409: it is the state of the site, not the form of the request."""
    room.site = replace(room.site, control=replace(SPEC, migration_targets=targets))
    await room.restart()
    await room.job_at("wl-1", None, **said)
    outcome = await room.ask(order("migrate", migration_target=target))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "conflict"
    assert words in outcome.reason


# --- form -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [
    {"schedule": tuple(PowerStep(CLOCK_UTC_S + i, 1e6) for i in range(25))}, {"dependencies": tuple("abcdefghi")},
    {"schedule": (PowerStep(CLOCK_UTC_S, -1.0),)}, {"schedule": (PowerStep(float("nan"), 1.0),)},
    {"average_w": float("nan")}, {"max_pause_s": -1}, {"dependencies": ("x" * 201,)}, {"dependencies": ("",)},
])
async def test_lists_and_numbers_out_of_bounds_are_refused(room: Starting, said: dict[str, object]) -> None:
    """All of them are in every report, ten times a second."""
    outcome = await room.job_at("wl-1", None, **said)
    assert isinstance(outcome, Rejected)
    assert room.desk.workloads == {}


async def test_a_start_that_cannot_be_written_down_is_tried_again(room: Starting, monkeypatch) -> None:
    """What is not on disk did not happen."""
    await room.job_at("wl-1", 60.0)
    append = room.ledger.append

    async def full(_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(room.ledger, "append", full)
    await room.after(61.0)
    assert room.job().held
    assert isinstance(await room.job_at("wl-2", 60.0), Failed)
    monkeypatch.setattr(room.ledger, "append", append)
    await room.after(1.1)
    assert room.job().held == ""
