"""Commands to cooling through PSWD: split over devices, held for an hour, told as they are."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from conftest import House
from dcpi_house import CLIENT_ID, CN, BothHouse, dcpi_listener
from gateway_campus import CAMPUS, Control, FakeDoor, make_site
from msgspec.structs import replace

from pswd_edge.chain.chain_check import read_entries
from pswd_edge.clock import iso_utc
from pswd_edge.errors import DoorError
from pswd_edge.gateway.clients import ClientTable
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.profiles.pswd.thermal_models import ThermalCommandAnswer, ThermalStatus
from pswd_edge.gateway.roles import DCPI_SCOPES
from pswd_edge.gateway.server import Gateway
from pswd_edge.model.command import Accepted, Clamped, Rejected, SetPoint
from pswd_edge.model.point import WriteRule
from pswd_edge.model.report import SetpointReport
from pswd_edge.model.site import Site
from pswd_edge.model.thermal import Cooler, Lead, ThermalSpec

SETTABLE = {
    **CAMPUS,
    "cdu-1": ("cdu", {**CAMPUS["cdu-1"][1], "supply_temperature_setpoint_c": (30.0, False),
                      "flow_setpoint_lpm": (1000.0, False)}),
    "cdu-2": ("cdu", {**CAMPUS["cdu-2"][1], "supply_temperature_setpoint_c": (30.0, False),
                      "flow_setpoint_lpm": (2000.0, False), "vapor_quality_percent": (12.0, False),
                      "condensation_temperature_c": (60.0, False),
                      "condensation_temperature_setpoint_c": (60.0, False)}),
    "chiller-1": ("chiller", {"leaving_temperature_c": (16.0, False), "entering_temperature_c": (22.0, False),
                              "leaving_temperature_setpoint_c": (16.0, False)}),
    "hx-1": ("heat_exchanger", {"heat_w": (5e6, False), "supply_temperature_c": (82.0, False),
                                "return_temperature_c": (62.0, False), "flow_lpm": (3600.0, False),
                                "supply_temperature_setpoint_c": (80.0, False), "flow_setpoint_lpm": (3600.0, False),
                                "enable": (1.0, False)}),
}


def settable_site(campus: dict = SETTABLE, **changes: object) -> Site:
    """The small campus, with set-points that can be written and coolers of 20 and 60 MW."""
    site = make_site(campus=campus)
    points = tuple(replace(p, write=WriteRule(0.0, 1e6)) if "setpoint" in p.signal or p.signal == "enable" else p
                   for p in site.points)
    at = site.point_index

    def cooler(name: str, racks: tuple[int, ...], rating_w: float) -> Cooler:
        return Cooler(name, racks, 1.0, rating_w, (
            Lead(at[f"{name}.supply_temperature_setpoint_c"], 30.0, 27.0, 25.0, 32.0, 0.1),
            Lead(at[f"{name}.flow_setpoint_lpm"], 1000.0, 4000.0, 500.0, 5000.0, 20.0)))

    spec = None
    if "cdu-1" in campus:
        spec = ThermalSpec((cooler("cdu-1", (0,), 20e6), cooler("cdu-2", (1,), 60e6)))
    return replace(site, points=points, control=replace(site.control, thermal=spec), **changes)


class Commanded(FakeDoor):
    """A control that takes set-points as they are, and whose devices have them at once, or never."""

    def __init__(self, control: Control) -> None:
        super().__init__()
        self.control, self.state, self.winner = control, "verified", ""
        self.outcomes: list[object] = []

    async def ask(self, request, timeout_s):
        if self.outcomes:
            self.outcome = self.outcomes.pop(0)
        outcome = await super().ask(request, timeout_s)
        if isinstance(request, SetPoint) and isinstance(outcome, Accepted | Clamped):
            granted = outcome.value if isinstance(outcome, Clamped) else request.value
            point = self.control.site.point_index[request.point]
            found = SetpointReport(point, granted, self.winner or request.origin, 4, "", (), self.state, granted, None)
            kept = [s for s in self.control.changes.get("setpoints", ()) if s.point != point]
            self.control.run(1, setpoints=(*kept, found))
        return outcome


@pytest.fixture
async def hall(tmp_path: Path, state_dir: Path) -> AsyncIterator[House]:
    async for house in opened(tmp_path, state_dir, settable_site()):
        yield house


async def opened(tmp_path: Path, state_dir: Path, site: Site, tls: Path | None = None) -> AsyncIterator[House]:
    """`tls`: DCPI too, with a client that may do everything there."""
    if tls is not None:
        site = replace(site, listeners=(*site.listeners, dcpi_listener(tls)))
        ClientTable(state_dir).bind(CLIENT_ID, CN, tuple(DCPI_SCOPES))
    control = Control(tmp_path / "run", site)
    for device, (_, signals) in SETTABLE.items():
        for signal, (value, _) in signals.items():
            if (point := site.find(device, signal)) is not None:
                control.value[point] = value
    control.run(30)
    live, door = LiveImage(tmp_path / "run", control.clock), Commanded(control)
    async with Gateway(live, door, state_dir, control.clock) as gateway, aiohttp.ClientSession() as client:
        await gateway.open(tmp_path / "run" / "rows")
        house = House if tls is None else partial(BothHouse, tls)
        yield house(control, door, gateway, live, client)


async def run_on(house: House, cycles: int) -> None:
    for _ in range(cycles):
        await asyncio.sleep(0.02)
        house.control.run(1)


def order(house: House, command: str, **more: object) -> dict[str, object]:
    return {"command_type": command, "timestamp": iso_utc(house.control.clock.utc_s()), **more}


async def command(house: House, kind: str, **more: object):
    answer = await house.post("/v1/thermal/control", order(house, kind, **more))
    if answer.status == 200:
        ThermalCommandAnswer.model_validate(answer.body)
    return answer


def asked(house: House) -> dict[str, float]:
    return {r.point: r.value for r in house.door.asked}


async def test_a_temperature_goes_to_every_cdu_and_is_held_for_an_hour(hall: House) -> None:
    """The contract has no end; nothing may stay for ever because a client was switched off."""
    answer = await command(hall, "set_temperature", target_temperature_c=28.0, ramp_rate_c_per_sec=0.05)
    assert answer.status == 200, answer.body
    assert asked(hall) == {"cdu-1.supply_temperature_setpoint_c": 28.0, "cdu-2.supply_temperature_setpoint_c": 28.0}
    assert {(r.ramp_per_s, r.ttl_s, r.origin) for r in hall.door.asked} == {
        (0.05, 3600.0, "api:infrastructure_manager")}
    assert answer.body["status"] == "executed"
    assert answer.body["current_temperature_c"] == 32.0    # (1000 * 30 + 2000 * 33) / 3000
    assert answer.body["flow_rate_l_per_min"] == 3000.0
    assert [s["set_point"] for s in answer.body["set_points"]] == list(asked(hall))


async def test_a_flow_is_split_by_the_ratings(hall: House) -> None:
    """A CDU of 20 MW beside one of 60 MW gets a quarter of the water."""
    answer = await command(hall, "adjust_flow", target_flow_rate_l_per_min=4000.0)
    assert answer.status == 200
    assert asked(hall) == {"cdu-1.flow_setpoint_lpm": 1000.0, "cdu-2.flow_setpoint_lpm": 3000.0}


async def test_without_a_cdu_the_chiller_is_set(tmp_path: Path, state_dir: Path) -> None:
    """The answer says which set-point it was."""
    campus = {name: found for name, found in SETTABLE.items() if not name.startswith("cdu")}
    async for house in opened(tmp_path, state_dir, settable_site(campus)):
        answer = await command(house, "set_temperature", target_temperature_c=14.0)
        assert [s["set_point"] for s in answer.body["set_points"]] == ["chiller-1.leaving_temperature_setpoint_c"]
        assert answer.body["current_temperature_c"] == 16.0
        refused = await command(house, "adjust_flow", target_flow_rate_l_per_min=100.0)
        assert (refused.status, refused.body["error_code"]) == (409, "SETPOINT_UNAVAILABLE")


@pytest.mark.parametrize(("enabled", "value"), [(True, 1.0), (False, 0.0)])
async def test_heat_recovery_is_the_exchangers_switch(hall: House, enabled: bool, value: float) -> None:
    """On and off, both held."""
    answer = await command(hall, "enable_heat_recovery", heat_recovery_enabled=enabled)
    assert answer.status == 200
    assert asked(hall) == {"hx-1.enable": value}


async def test_phase_optimization_sets_where_the_coolant_condenses(hall: House) -> None:
    """Only a two-phase CDU has that; the other one is left alone."""
    answer = await command(hall, "phase_optimization", target_temperature_c=55.0)
    assert answer.status == 200
    assert asked(hall) == {"cdu-2.condensation_temperature_setpoint_c": 55.0}


async def test_phase_optimization_without_two_phases_is_refused(house: House) -> None:
    """A 200 that did nothing would be a lie."""
    answer = await command(house, "phase_optimization", target_temperature_c=55.0)
    assert (answer.status, answer.body["error_code"]) == (409, "SETPOINT_UNAVAILABLE")
    assert house.door.asked == []


@pytest.mark.parametrize(("kind", "missing"), [
    ("set_temperature", "target_temperature_c"), ("adjust_flow", "target_flow_rate_l_per_min"),
    ("enable_heat_recovery", "heat_recovery_enabled"), ("phase_optimization", "target_temperature_c")])
async def test_a_command_without_its_target_names_it(hall: House, kind: str, missing: str) -> None:
    """The contract has all of them optional; each command needs one."""
    answer = await command(hall, kind)
    assert answer.status == 400
    assert answer.body["message"].startswith(f"{missing}: got nothing")
    assert hall.door.asked == []


async def test_what_bound_a_command_is_told(hall: House) -> None:
    """Clamped is no failure, but nobody may believe in 20 degrees that will not come."""
    hall.door.outcome = Clamped(id="", value=25.0, limit="thermal_limit", reason="declared", eta_s=50.0,
                                expires_utc_s=hall.control.clock.utc_s() + 3600)
    answer = await command(hall, "set_temperature", target_temperature_c=20.0)
    assert (answer.body["limit"], answer.body["eta_sec"], answer.body["status"]) == ("thermal_limit", 50.0, "executed")
    assert [s["value"] for s in answer.body["set_points"]] == [25.0, 25.0]
    assert answer.body["expires_at"] == iso_utc(hall.control.clock.utc_s() + 3600 - 0.2)


async def test_an_interlock_that_leads_is_named(hall: House) -> None:
    """Taken, but not carried out while something is too hot."""
    hall.door.winner = "interlock:hall-a"
    answer = await command(hall, "set_temperature", target_temperature_c=32.0)
    assert (answer.body["status"], answer.body["limit"]) == ("pending", "interlock:hall-a")


async def test_a_device_that_refuses_is_a_failure(hall: House) -> None:
    """The state of the last write is the answer."""
    hall.door.state = "refused"
    later = asyncio.create_task(run_on(hall, 12))    # the fake clock's way to the end of the wait
    answer = await command(hall, "set_temperature", target_temperature_c=28.0)
    await later
    assert answer.body["status"] == "failed"
    assert answer.body["set_points"][0]["message"] == "cdu-1.supply_temperature_setpoint_c: refused"


async def test_one_refused_of_two_is_told_beside_the_other(hall: House) -> None:
    """A CDU that was not commissioned does not cost the others their command."""
    hall.door.outcomes = [Rejected(id="", code="not_commissioned", reason="no"), Accepted(id="")]
    answer = await command(hall, "set_temperature", target_temperature_c=28.0)
    assert answer.body["status"] == "executed"
    assert [s["status"] for s in answer.body["set_points"]] == ["failed", "executed"]


async def test_all_refused_is_a_refusal(hall: House) -> None:
    """With control's code and status."""
    hall.door.outcome = Rejected(id="", code="forbidden", reason="no")
    answer = await command(hall, "set_temperature", target_temperature_c=28.0)
    assert (answer.status, answer.body["error_code"]) == (403, "FORBIDDEN")


async def test_no_control_is_503(hall: House) -> None:
    """Nothing is queued for later."""
    hall.door.outcome = DoorError("gone")
    assert (await command(hall, "set_temperature", target_temperature_c=28.0)).status == 503


async def test_the_same_key_asks_for_the_same_ids(hall: House) -> None:
    """A retry after a time-out is no second command: control knows the ids. Once answered, it is asked no more."""
    statuses = []
    for hall.door.outcome in (DoorError("silent"), None, None):
        answer = await hall.post("/v1/thermal/control", order(hall, "set_temperature", target_temperature_c=28.0),
                                 headers={"Idempotency-Key": "k1"})
        statuses.append(answer.status)
    ids = [r.id for r in hall.door.asked]
    assert statuses == [503, 200, 200]
    assert set(ids[:-2]) <= set(ids[-2:])
    assert len(set(ids)) == 2


async def test_phase_change_is_shown_for_two_phases(hall: House) -> None:
    """The share of coolant that became vapour."""
    answer = await hall.get("/v1/thermal/status")
    ThermalStatus.model_validate(answer.body)
    assert answer.body["phase_change_efficiency_percent"] == 12.0
    hall.control.spoil("cdu-2.vapor_quality_percent")
    hall.control.run(1)
    assert "phase_change_efficiency_percent" not in (await hall.get("/v1/thermal/status")).body


async def test_a_single_phase_site_has_no_phase_change(house: House) -> None:
    """Zero would be a measurement."""
    assert "phase_change_efficiency_percent" not in (await house.get("/v1/thermal/status")).body


async def test_the_audit_says_what_a_command_found_and_left(hall: House, state_dir: Path) -> None:
    """By point, in SI units: who turned the water warm, and how warm it was."""
    await command(hall, "set_temperature", target_temperature_c=28.0)
    [entry] = [e for e in read_entries(state_dir / "audit" / "commands") if e["kind"] == "command"]
    assert entry["before"] == {f"cdu-{n}.supply_temperature_setpoint_c": 30.0 for n in (1, 2)}
    assert entry["after"] == {f"cdu-{n}.supply_temperature_setpoint_c": 28.0 for n in (1, 2)}
