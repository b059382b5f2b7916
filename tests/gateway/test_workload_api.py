"""Workloads over both APIs, with the real desk behind the door: announced, judged, ordered, looked at, restarted."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from dcpi_house import CLIENT_ID, CN, BothHouse, dcpi_listener
from desk_door import DeskDoor
from gateway_campus import Control, make_site
from msgspec.structs import replace

from pswd_edge.chain.chain_check import read_entries
from pswd_edge.clock import iso_utc
from pswd_edge.gateway.audit_file import COMMANDS
from pswd_edge.gateway.clients import ClientTable
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.profiles.dcpi.workloads_models import AnnouncementReceipt, OrderAnswer, WorkloadStatus
from pswd_edge.gateway.roles import DCPI_SCOPES
from pswd_edge.gateway.server import Gateway
from pswd_edge.model.control import Branch, Input
from pswd_edge.model.site import Listener, Site
from pswd_edge.model.thermal import Cooler, ThermalSpec


def site(tls: Path) -> Site:
    """Both APIs, a circuit over both racks, a cooler over each, another site to migrate to."""
    made = make_site(listeners=(Listener("127.0.0.1", 0, ("pswd",)), dcpi_listener(tls)))
    cool = ThermalSpec(tuple(Cooler(f"cdu-{i + 1}", (i,), 1.0, 30e6, ()) for i in range(2)))
    hall = Branch("hall-a", 60e6, None, Input(0), controllers=(0, 1))
    return replace(made, control=replace(made.control, thermal=cool, branches=(hall,), migration_targets=("site-b",),
                                          cooling_rating_w=140e6))


class Both(BothHouse):
    """The house with control's desk in it, restarted at will."""

    def __init__(self, control: Control, door: DeskDoor, folder: Path, state_dir: Path, tls: Path) -> None:
        self.control, self.door, self.folder, self.state_dir, self.tls = control, door, folder, state_dir, tls

    async def open(self) -> None:
        self.live = LiveImage(self.folder, self.control.clock)
        self.gateway = Gateway(self.live, self.door, self.state_dir, self.control.clock)
        await self.gateway.open(self.folder / "rows")
        super().__init__(self.tls, self.control, self.door, self.gateway, self.live, aiohttp.ClientSession())

    async def close(self) -> None:
        await self.client.close()
        await self.gateway.close()

    async def announced(self, workload_id: str = "job-1", **changes: Any):
        return await self.post("/dcpi/api/v1/workloads/announce", profile(workload_id, **changes))

    async def status(self, workload_id: str = "job-1"):
        answer = await self.get(f"/dcpi/api/v1/workloads/{workload_id}/status")
        if answer.status == 200:
            WorkloadStatus.model_validate(answer.body)
        return answer

    async def judged(self, workload_id: str = "job-1") -> dict[str, Any]:
        """Its status, as soon as there is a judgement."""
        for _ in range(200):
            answer = await self.status(workload_id)
            if answer.body.get("status") != "pending_approval":
                return answer.body
            await asyncio.sleep(0.005)
        raise AssertionError(answer.body)

    async def ordered(self, action: str, workload_id: str = "job-1", **parameters: Any):
        return await self.call("PUT", f"/dcpi/api/v1/workloads/{workload_id}/control",
                               {"action": action, "parameters": parameters})

    async def pswd(self, workload_id: str = "job-1", **power: Any):
        now = iso_utc(self.control.clock.utc_s())
        more = power.pop("more", {})
        return await self.post("/v1/workload/announce", {
            "PSWD_version": "1.0", "message_type": "workload_announcement", "timestamp": now,
            "workload_id": workload_id, "workload_type": "hpc", "power_profile": {
                "peak_power_mw": 20, "baseline_power_mw": 2, "ramp_rate_mw_per_sec": 0.05, **power}, **more})

    def in_s(self, seconds: float) -> str:
        return iso_utc(self.control.clock.utc_s() + seconds)


def profile(workload_id: str = "job-1", **changes: Any) -> dict[str, Any]:
    """20 MW, gentle: 25 MW are to be had."""
    power = {"peak_power_mw": 20, "baseline_power_mw": 2, "ramp_rate_mw_per_sec": 0.05, **changes.pop("power", {})}
    return {"workload_id": workload_id, "workload_type": "ai_training", "power_profile": power, **changes}


@pytest.fixture
async def both(tmp_path: Path, state_dir: Path, tls: Path) -> AsyncIterator[Both]:
    ClientTable(state_dir).bind(CLIENT_ID, CN, tuple(DCPI_SCOPES))
    control = Control(tmp_path / "run", site(tls))
    control.run(30)
    door = DeskDoor(control, tmp_path)
    await door.start()
    made = Both(control, door, tmp_path / "run", state_dir, tls)
    await made.open()
    yield made
    await made.close()
    await door.stop()


CONTRACT = {
    "workload_id": "ai-training-job-12345", "workload_type": "ai_training",
    "classification": {"category": "machine_learning", "subcategory": "transformer_training",
                       "model_size": "175B_parameters"},
    "power_profile": {
        "peak_power_mw": 18.05, "baseline_power_mw": 2.0, "average_power_mw": 14.52, "ramp_rate_mw_per_sec": 45.0,
        "duration_estimate_sec": 3600, "power_schedule": [
            {"timestamp": "2026-06-04T15:00:00Z", "power_mw": 2.0, "phase": "data_loading"},
            {"timestamp": "2026-06-04T15:05:00Z", "power_mw": 18.05, "phase": "forward_pass"},
            {"timestamp": "2026-06-04T15:10:00Z", "power_mw": 20.0, "phase": "backward_pass"}]},
    "thermal_profile": {
        "heat_generation_mw": 17.5, "preferred_coolant_temp_c": 65.0, "max_silicon_temp_c": 85.0,
        "critical_temp_c": 95.0, "heat_distribution": {"gpu_percent": 80, "cpu_percent": 15, "memory_percent": 5}},
    "flexibility": {"can_delay": True, "max_delay_sec": 1800, "can_throttle": True, "min_power_mw": 9.0,
                    "can_pause": True, "max_pause_duration_sec": 900, "can_migrate": False},
    "timing_constraints": {
        "priority": "high", "deadline": "2026-06-05T08:00:00Z", "earliest_start": "2026-06-04T15:00:00Z",
        "latest_start": "2026-06-04T18:00:00Z", "business_criticality": "research_training",
        "preemption_allowed": False},
    "dependencies": ["data-preprocessing-job-11223"],
    "resource_requirements": {"compute_nodes": 64, "gpu_count": 512, "memory_gb": 40960, "storage_tb": 50},
}


async def test_the_contract_s_own_example_is_taken_with_its_schedule_above_its_peak(both: Both) -> None:
    """A tenth of its powers: the schedule's 20 MW is the peak then. 202, and judged a moment later."""
    answer = await both.post("/dcpi/api/v1/workloads/announce", CONTRACT)
    assert answer.status == 202
    AnnouncementReceipt.model_validate(answer.body)
    assert (answer.body["status"], answer.body["estimated_response_time_sec"]) == ("pending_approval", 5.0)
    found = await both.judged("ai-training-job-12345")
    said = both.door.asked[0].workload
    assert (said.peak_w, said.average_w, said.minimum_w, said.max_pause_s) == (20e6, 14.52e6, 9e6, 900)
    assert [s.load_w for s in said.schedule] == [2e6, 18.05e6, 20e6]
    assert said.dependencies == ("data-preprocessing-job-11223",)
    assert found["status"] == "approved"
    assert found["conditions"] == {"start_time": "2026-06-04T15:00:00.000Z"}
    assert found["infrastructure_allocation"] == {
        "cooling_loop": "cdu-1", "power_circuit": "hall-a", "thermal_capacity_mw": 17.5}
    assert found["grid_status"]["green_energy_available"] is True
    assert found["message"].startswith("starts at 2026-06-04T15:00:00")


# --- impossible, contradictory, twice ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("changes", "code", "details"), [
    ({"power": {"peak_power_mw": 40}}, "INSUFFICIENT_POWER_CAPACITY",
     {"requested_power_mw": 40.0, "available_capacity_mw": 25.0,
      "suggested_alternatives": ["Reduce workload power to 25 MW"]}),
    ({"power": {"peak_power_mw": 20, "ramp_rate_mw_per_sec": 5}}, "GRID_STABILITY_CONSTRAINT", None),
])
async def test_what_the_site_can_never_carry_is_409_at_once(both: Both, changes, code: str, details) -> None:
    """No waiting helps; what would fit is in the details."""
    if code == "GRID_STABILITY_CONSTRAINT":
        spec = both.live.site.control
        small = tuple(replace(b, capacity_wh=1e6) for b in spec.batteries)
        both.live.reader.site = replace(both.live.site, control=replace(spec, batteries=small))
    answer = await both.announced(**changes)
    error = answer.body["error"]
    assert (answer.status, error["code"]) == (409, code)
    if details is not None:
        assert error["details"] == details
    else:
        assert error["details"]["suggested_alternatives"] == ["Ramp at no more than 0.1 MW/s"]
    assert both.door.asked == []
    assert (await both.status()).status == 404


async def test_too_much_heat_is_409_with_the_heat_that_is_to_be_had(both: Both) -> None:
    """25 MW of power are there, but the announcement makes three times as much heat."""
    spec = both.live.site.control
    both.live.reader.site = replace(both.live.site, control=replace(spec, cooling_rating_w=115e6))
    answer = await both.announced(thermal_profile={"heat_generation_mw": 60})
    error = answer.body["error"]
    assert (answer.status, error["code"]) == (409, "INSUFFICIENT_COOLING_CAPACITY")
    assert error["details"] == {"requested_heat_mw": 60.0, "available_capacity_mw": 15.0,
                                "suggested_alternatives": ["Reduce workload power to 5 MW"]}


async def test_every_contradiction_is_named_at_once(both: Both) -> None:
    """A scheduler mends its profile in one go."""
    answer = await both.announced(
        power={"baseline_power_mw": 30, "average_power_mw": 1, "power_schedule": [
            {"timestamp": both.in_s(60), "power_mw": 1}, {"timestamp": both.in_s(50), "power_mw": 2}]},
        thermal_profile={"heat_distribution": {"gpu_percent": 120, "cpu_percent": 15}, "max_silicon_temp_c": 99,
                         "critical_temp_c": 95},
        flexibility={"min_power_mw": 21},
        timing_constraints={"earliest_start": both.in_s(100), "latest_start": both.in_s(50), "deadline": both.in_s(40)},
        dependencies=["job-1"])
    error = answer.body["error"]
    assert (answer.status, error["code"]) == (400, "INVALID_WORKLOAD_PROFILE")
    fields = [line.partition(":")[0] for line in error["details"]["lines"]]
    assert fields == [
        "power_profile.baseline_power_mw", "power_profile.average_power_mw", "power_profile.power_schedule",
        "flexibility.min_power_mw", "timing_constraints.latest_start", "timing_constraints.deadline",
        "timing_constraints.deadline", "thermal_profile.heat_distribution.gpu_percent",
        "thermal_profile.heat_distribution", "thermal_profile.max_silicon_temp_c", "dependencies"]


async def test_a_power_that_cannot_be_is_a_wrong_profile_and_another_mistake_a_wrong_request(both: Both) -> None:
    """The contract has a code of its own for the one."""
    wrong = await both.announced(power={"peak_power_mw": -1})
    other = await both.post("/dcpi/api/v1/workloads/announce", {**profile(), "workload_id": ""})
    assert (wrong.status, wrong.body["error"]["code"]) == (400, "INVALID_WORKLOAD_PROFILE")
    assert (other.status, other.body["error"]["code"]) == (400, "INVALID_REQUEST")


async def test_a_name_that_is_live_or_waits_is_409_and_a_repeated_key_is_not(both: Both) -> None:
    """Two jobs of one name could not be told apart; a retry is the same job."""
    key = {"Idempotency-Key": "k-1"}
    first = await both.post("/dcpi/api/v1/workloads/announce", profile(), headers=key)
    again = await both.post("/dcpi/api/v1/workloads/announce", profile(), headers=key)
    assert again.body == first.body
    await both.judged()
    assert (await both.announced()).status == 409
    both.door.down = True
    assert (await both.announced("job-2")).status == 202
    assert (await both.announced("job-2")).status == 409
    assert (await both.pswd("job-2")).status == 409
    assert (await both.ordered("pause", "job-2")).status == 409
    assert sum(type(r).__name__ == "Announce" and r.workload.workload_id == "job-1" for r in both.door.asked) == 1


# --- waiting for a judgement ------------------------------------------------------------------------------------------


async def test_an_announcement_outlives_a_restart_of_the_gateway_before_its_judgement(both: Both) -> None:
    """202 means that it is on disk: control was away, then the gateway was; it is judged all the same."""
    both.door.down = True
    receipt = await both.announced()
    await asyncio.sleep(0.05)
    assert (await both.status()).body["status"] == "pending_approval"
    await both.close()
    both.door.down = False
    await both.open()
    assert (await both.judged())["status"] == "approved"
    [asked] = {r.id for r in both.door.asked}
    assert asked.endswith(receipt.body["request_id"])


async def test_an_announcement_that_cannot_be_written_down_is_503_and_forgotten(both: Both, monkeypatch) -> None:
    """A 202 that the disk does not know would be a promise of nobody."""
    file = both.gateway.services.announcements._file

    async def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(file, "add", full)
        answer = await both.announced()
    assert answer.status == 503
    assert (await both.status()).status == 404
    assert (await both.announced()).status == 202


async def test_a_judgement_that_was_not_noted_is_not_made_twice(both: Both) -> None:
    """The gateway fell between control's answer and its own note: the same id gets the same outcome."""
    await both.announced()
    await both.judged()
    file = both.gateway.services.announcements._file
    await file._store.run(lambda db: db.execute("UPDATE announcements SET state = 'pending'").rowcount)
    await both.close()
    await both.open()
    assert (await both.judged())["status"] == "approved"
    assert len(both.door.desk.workloads) == 1


async def test_a_site_that_cannot_judge_yet_says_so_and_goes_on_trying(both: Both) -> None:
    """After a minute it is told; the announcement is kept."""
    both.door.ready = "inputs: grid meter"
    await both.announced()
    await asyncio.sleep(0.03)
    both.control.clock.advance(61.0)
    both.control.run()
    await both.gateway.services.announcements.turn()
    found = (await both.status()).body
    assert found["status"] == "pending_approval"
    assert found["message"].startswith("inputs: grid meter")
    both.door.ready = ""
    await both.gateway.services.announcements.turn()
    assert (await both.judged())["status"] == "approved"


async def test_a_rejection_stays_visible_after_control_has_forgotten_it(both: Both) -> None:
    """With its reasons, and with what would have fitted."""
    await both.announced("first", power={"duration_estimate_sec": 1200})
    await both.judged("first")
    await both.announced("second", power={"peak_power_mw": 10})
    found = await both.judged("second")
    assert found["status"] == "rejected"
    assert found["message"] == "grid power allows 5.0 MW of the 10.0 MW asked for"
    both.door.desk.workloads.pop("second")
    both.door.publish()
    kept = (await both.status("second")).body
    assert kept["status"] == "rejected"
    assert "reduce power to 5 MW; delay the start by 20 minutes" in kept["message"]
    assert (await both.status("never")).status == 404


# --- approved with conditions -----------------------------------------------------------------------------------------


async def test_a_job_that_may_be_delayed_gets_all_of_its_power_later(both: Both) -> None:
    """After the first one's announced end; before it is held back, then it starts."""
    await both.announced("first", power={"duration_estimate_sec": 1200})
    await both.judged("first")
    begun = both.door.desk.workloads["first"].started_utc_s
    await both.announced("second", flexibility={"can_delay": True, "max_delay_sec": 1800, "can_throttle": True})
    found = await both.judged("second")
    assert found["status"] == "approved_with_conditions"
    assert found["conditions"] == {"start_time": iso_utc(begun + 1200.0), "max_power_mw": 20.0}
    assert found["message"].startswith("starts at")
    shown = await both.get("/v1/workload/second/status")
    assert shown.body["current_status"] == "paused"
    await both.door.after(1201.0)
    assert (await both.status("second")).body["message"] == "grid power allows 5.0 MW of its 20.0 MW now"
    await both.ordered("terminate", "first")
    await both.door.after(1.1)
    assert "message" not in (await both.status("second")).body
    assert (await both.get("/v1/workload/second/status")).body["current_status"] == "running"


async def test_a_job_that_may_not_be_delayed_is_capped_where_it_can_be(both: Both) -> None:
    """5 MW are left; more than its least."""
    await both.announced("first")
    await both.judged("first")
    await both.announced("second", flexibility={"can_throttle": True, "min_power_mw": 3})
    found = await both.judged("second")
    assert found["status"] == "approved_with_conditions"
    assert found["conditions"] == {"max_power_mw": 5.0}


async def test_pswd_rejects_with_the_same_alternatives(both: Both) -> None:
    """200, as that contract has it; also where it is impossible for ever."""
    await both.pswd("first", duration_estimate_sec=1200)
    answer = await both.pswd("second", peak_power_mw=10)
    assert answer.status == 200
    assert answer.body["approval_status"] == "rejected"
    assert answer.body["conditions"] == [
        "grid power allows 5.0 MW of the 10.0 MW asked for", "possible: reduce power to 5 MW",
        "possible: delay the start by 20 minutes"]
    never = await both.pswd("third", peak_power_mw=400)
    assert never.body["approval_status"] == "rejected"
    assert "possible: reduce power to 25 MW" in never.body["conditions"]


async def test_a_deadline_that_cannot_be_met_is_told(both: Both) -> None:
    """It may still be finished early: told, not refused."""
    await both.announced(power={"duration_estimate_sec": 3600}, timing_constraints={"deadline": both.in_s(600)})
    found = await both.judged()
    assert found["status"] == "approved"
    assert found["message"].startswith("its deadline cannot be met: it ends 3000 s after it")


async def test_a_start_that_never_came_is_expired(both: Both) -> None:
    """Terminated in PSWD, which has no such word."""
    await both.announced("first")
    await both.judged("first")
    await both.announced("second", dependencies=["first"], power={"peak_power_mw": 4},
                         timing_constraints={"latest_start": both.in_s(600)})
    assert (await both.judged("second"))["status"] == "approved"
    await both.door.after(601.0)
    found = (await both.status("second")).body
    assert found["status"] == "expired"
    assert found["message"].startswith("waits for the end of first; its latest start has passed")
    assert (await both.get("/v1/workload/second/status")).body["current_status"] == "terminated"


# --- orders -----------------------------------------------------------------------------------------------------------


async def test_an_order_is_the_same_from_either_side(both: Both) -> None:
    """One workload, two APIs: what one does the other shows."""
    await both.announced(flexibility={"can_throttle": True})
    await both.judged()
    answer = await both.ordered("throttle", target_power_mw=12, ramp_rate_mw_per_sec=1.0, reason="grid request")
    OrderAnswer.model_validate(answer.body)
    assert (answer.status, answer.body["status"], answer.body["action"]) == (200, "throttled", "throttle")
    assert (await both.get("/v1/workload/job-1/status")).body["current_status"] == "throttled"
    assert both.door.desk.workloads["job-1"].target_w == 12e6
    now = iso_utc(both.control.clock.utc_s())
    paused = await both.post("/v1/workload/job-1/control", {"command_type": "pause", "timestamp": now})
    assert paused.status == 200
    assert (await both.status()).body["status"] == "paused"
    assert (await both.ordered("resume")).body["status"] == "approved"
    assert (await both.ordered("terminate")).body["status"] == "terminated"
    gone = await both.ordered("pause")
    assert (gone.status, gone.body["error"]["code"]) == (409, "CONFLICT")
    mine, theirs = (await both.status()).body, (await both.get("/v1/workload/job-1/status")).body
    assert mine["status"] == theirs["current_status"] == "terminated"


@pytest.mark.parametrize(("body", "status", "code"), [
    ({"action": "throttle"}, 400, "INVALID_REQUEST"), ({"action": "migrate"}, 400, "INVALID_REQUEST"),
    ({"action": "throttle", "parameters": {"target_power_mw": -1}}, 400, "INVALID_REQUEST"),
    ({"action": "pause"}, 404, "RESOURCE_NOT_FOUND")])
async def test_orders_that_cannot_be_are_refused(both: Both, body, status: int, code: str) -> None:
    """In the contract's own codes."""
    answer = await both.call("PUT", "/dcpi/api/v1/workloads/nobody/control", body)
    assert (answer.status, answer.body["error"]["code"]) == (status, code)


async def test_pswd_migrates_to_another_site_and_shows_it(both: Both) -> None:
    """Down to idle, then it is over here."""
    await both.pswd(more={"flexibility_parameters": {"migration_capable": True}})
    now = iso_utc(both.control.clock.utc_s())
    path, order = "/v1/workload/job-1/control", {"command_type": "migrate", "timestamp": now}
    wrong = await both.post(path, {**order, "migration_target": "site-c"})
    assert (wrong.status, wrong.body["error_code"]) == (409, "MIGRATION_UNAVAILABLE")
    assert (await both.post(path, {**order, "migration_target": "site-b"})).status == 200
    assert (await both.get("/v1/workload/job-1/status")).body["current_status"] == "migrating"
    assert (await both.status()).body["status"] == "migrating"
    await both.door.after(1.0)
    found = (await both.get("/v1/workload/job-1/status")).body
    assert (found["current_status"], found["message"]) == ("terminated", "handed over to site-b")


async def test_peak_and_mean_outlive_a_restart_of_the_gateway(both: Both) -> None:
    """Else a morning's restart would make yesterday's peak vanish."""
    await both.pswd()
    for power_w in (18e6, 6e6):
        both.control.set("rack-1.active_power_w", power_w)
        both.control.run()
        both.gateway.services.workloads.look()
    await both.close()
    await both.open()
    found = (await both.get("/v1/workload/job-1/status")).body
    assert (found["peak_power_mw"], found["average_power_mw"]) == (18.0, 12.0)


async def test_a_restart_of_control_keeps_what_waits_and_what_runs(both: Both) -> None:
    """Both APIs go on showing it."""
    await both.announced("runs", power={"duration_estimate_sec": 1200})
    await both.judged("runs")
    await both.announced("waits", flexibility={"can_delay": True})
    await both.judged("waits")
    await both.door.stop()
    await both.door.start()
    assert (await both.status("runs")).body["status"] == "approved"
    assert (await both.status("waits")).body["message"].startswith("starts at")


async def test_orders_and_announcements_are_audited_with_before_and_after(both: Both) -> None:
    """Who changed what, from what to what: the same words from either API."""
    await both.announced(flexibility={"can_throttle": True})
    await both.judged()
    await both.ordered("throttle", target_power_mw=12)
    found = [e for e in read_entries(both.state_dir / "audit" / COMMANDS) if "after" in e]
    assert [e["after"]["state"] for e in found] == ["pending", "throttled"]
    assert found[1]["before"] == {"state": "approved", "approved_w": 20e6}
    assert found[1]["after"] == {"state": "throttled", "approved_w": 20e6, "target_w": 12e6}
