"""Municipal heat through both profiles: what flows, what it is worth, who may change it, what is offered."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import House
from dcpi_house import CLIENT_ID
from gateway_campus import make_workload
from msgspec.structs import replace
from test_gateway_thermal import asked, opened, order, settable_site

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.profiles.dcpi.heat_models import HeatAvailabilityAnswer
from pswd_edge.gateway.profiles.dcpi.heat_models import MunicipalHeatStatus as DcpiStatus
from pswd_edge.gateway.profiles.pswd.heat_models import MunicipalHeatCommandAnswer, MunicipalHeatStatus
from pswd_edge.gateway.services.heat_account import HeatAccount
from pswd_edge.gateway.services.heat_demand import HeatDemand
from pswd_edge.gateway.services.outside import OutsideError, Reply
from pswd_edge.gateway.services.polled import OLDEST_S, Polled
from pswd_edge.gateway.store import Store
from pswd_edge.model.report import SetpointReport
from pswd_edge.model.site import HeatFacts, Listener, OutsideEndpoint, Site
from pswd_edge.model.thermal import HeatExport, Lead, Measure
from simulators.grid_operator import GridOperator

STATUS, CONTROL = "/v1/municipal/heat/status", "/v1/municipal/heat/control"
OFFER = "/dcpi/api/v1/heat/municipal/availability"


def heat_site(**changes: object) -> Site:
    """The exchanger may carry 4,000 L/min at a fall of 20 K: 5.41 MW."""
    site = settable_site(listeners=(Listener("127.0.0.1", 0, ("pswd",)),),
                         heat_network=HeatFacts("heat-1", "Town heat", 25.0, "EUR", 200.0))
    at = site.point_index
    export = HeatExport(
        "hx-1", Measure(at["hx-1.supply_temperature_c"]), Measure(at["hx-1.heat_w"]),
        Lead(at["hx-1.supply_temperature_setpoint_c"], 80.0, 80.0, 70.0, 90.0, 0.1),
        Lead(at["hx-1.flow_setpoint_lpm"], 100.0, 4000.0, 100.0, 4000.0, 10.0), 80.0, 70.0, 90.0, 20.0,
        enable=at["hx-1.enable"])
    thermal = replace(site.control.thermal, exports=(export,))
    return replace(site, control=replace(site.control, thermal=thermal), **changes)


@pytest.fixture
async def works(tmp_path: Path, state_dir: Path, tls: Path) -> AsyncIterator[House]:
    async for house in opened(tmp_path, state_dir, heat_site(), tls):
        yield house


async def control(house: House, kind: str, **more: object):
    answer = await house.post(CONTROL, order(house, kind, **more))
    if answer.status == 200:
        MunicipalHeatCommandAnswer.model_validate(answer.body)
    return answer


def count(house: House, seconds: float, heat_w: float) -> None:
    house.control.set("hx-1.heat_w", heat_w)
    house.control.run(round(seconds * 10))


# --- what flows ---------------------------------------------------------------------------------------------------

async def test_both_profiles_show_the_same_heat(works: House) -> None:
    """kW and L/min there, MW and m3/h here."""
    pswd, dcpi = await works.get(STATUS), await works.get("/dcpi/api/v1/heat/municipal/status")
    MunicipalHeatStatus.model_validate(pswd.body)
    DcpiStatus.model_validate(dcpi.body)
    assert pswd.body | {"timestamp": ""} == {
        "municipal_network_id": "heat-1", "heat_delivery_active": True, "current_heat_output_kw": 5000.0,
        "supply_temperature_c": 82.0, "return_temperature_c": 62.0, "flow_rate_l_per_min": 3600.0,
        "heat_quality_index": 8.4, "revenue_per_hour": 125.0, "currency": "EUR", "timestamp": ""}
    assert dcpi.body["heat_delivery"] == {
        "current_output_mw": 5.0, "supply_temperature_c": 82.0, "return_temperature_c": 62.0,
        "flow_rate_m3h": 216.0, "heat_quality": "district_heating_grade", "heat_quality_index": 8.4}
    assert (dcpi.body["municipal_partner"], dcpi.body["connection_status"]) == ("Town heat", "active")


async def test_what_is_not_known_is_left_out(works: House) -> None:
    """Neither 0 nor the last value: the heat network plans with it."""
    works.control.spoil("hx-1.heat_w")
    works.control.spoil("hx-1.supply_temperature_c")
    works.control.run(1)
    pswd = (await works.get(STATUS)).body
    dcpi = (await works.get("/dcpi/api/v1/heat/municipal/status")).body
    assert not pswd["heat_delivery_active"]
    assert {"current_heat_output_kw", "supply_temperature_c", "heat_quality_index", "revenue_per_hour"}.isdisjoint(pswd)
    assert set(dcpi["heat_delivery"]) == {"return_temperature_c", "flow_rate_m3h"}
    assert "municipal_demand" not in dcpi
    assert dcpi["connection_status"] == "offline"


@pytest.mark.parametrize(("heat_w", "enable", "expected"), [
    (5e6, 1.0, "active"), (0.0, 1.0, "standby"), (0.0, 0.0, "offline")])
async def test_delivery_status_is_what_flows(works: House, heat_w: float, enable: float, expected: str) -> None:
    """Enabled without heat is standby, switched off is offline."""
    works.control.set("hx-1.heat_w", heat_w)
    works.control.set("hx-1.enable", enable)
    works.control.run(1)
    assert (await works.get("/dcpi/api/v1/heat/municipal/status")).body["connection_status"] == expected


async def test_a_site_without_an_exchanger_has_no_heat_network(tmp_path: Path, state_dir: Path) -> None:
    """404, not zeros."""
    from test_gateway_thermal import SETTABLE
    campus = {name: found for name, found in SETTABLE.items() if name != "hx-1"}
    async for house in opened(tmp_path, state_dir, settable_site(campus)):
        assert (await house.get(STATUS)).status == 404
        assert (await control(house, "enable_delivery")).status == 404


# --- commands -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("kind", "more", "expected"), [
    ("enable_delivery", {}, {"hx-1.enable": 1.0}), ("disable_delivery", {}, {"hx-1.enable": 0.0}),
    ("adjust_temperature", {"target_temperature_c": 85.0}, {"hx-1.supply_temperature_setpoint_c": 85.0}),
    ("adjust_flow", {"target_flow_rate_l_per_min": 2000.0}, {"hx-1.flow_setpoint_lpm": 2000.0})])
async def test_each_command_is_a_set_point_for_a_day(works: House, kind: str, more: dict, expected: dict) -> None:
    """Heat networks plan by the day."""
    answer = await control(works, kind, **more)
    assert (answer.status, answer.body["status"]) == (200, "executed"), answer.body
    assert asked(works) == expected
    assert works.door.asked[0].ttl_s == 86_400.0
    assert answer.body["heat_output_kw"] == 5000.0


@pytest.mark.parametrize(("kind", "more"), [
    ("adjust_temperature", {}), ("adjust_temperature", {"target_temperature_c": 69.9}),
    ("adjust_temperature", {"target_temperature_c": 90.1}), ("adjust_flow", {}),
    ("adjust_flow", {"target_flow_rate_l_per_min": -1.0})])
async def test_bounds_are_the_contracts(works: House, kind: str, more: dict) -> None:
    """70 to 90 degrees, no flow backwards, no target left out."""
    assert (await control(works, kind, **more)).status == 400
    assert works.door.asked == []


async def test_the_status_after_a_switch_is_that_of_the_switch(works: House) -> None:
    """The read-back is a second old; what the device has acknowledged is not."""
    works.control.set("hx-1.heat_w", 0.0)
    works.control.run(1)
    assert (await control(works, "disable_delivery")).body["delivery_status"] == "offline"
    assert (await control(works, "enable_delivery")).body["delivery_status"] == "standby"


async def test_a_lower_priority_does_not_replace_a_higher_one(works: House) -> None:
    """In an emergency the utility's word stands, until it ends or another emergency says otherwise."""
    assert (await control(works, "disable_delivery", priority_level="emergency")).status == 200
    refused = await control(works, "enable_delivery")
    assert (refused.status, refused.body["error_code"]) == (409, "PRIORITY_CONFLICT")
    assert (await control(works, "adjust_flow", target_flow_rate_l_per_min=500.0)).status == 200    # another thing
    assert (await control(works, "enable_delivery", priority_level="emergency")).status == 200
    works.control.clock.advance(86_400.0)
    works.control.run(30)
    works.tokens.clear()
    assert (await control(works, "enable_delivery", priority_level="low")).status == 200


# --- what it is worth ---------------------------------------------------------------------------------------------

async def test_revenue_is_measured_heat_times_the_price(works: House) -> None:
    """One hour at 36 MW would be 36 MWh; ten seconds are a tenth of one."""
    account = works.gateway.services.heat
    await account.look()
    before = account.account.today
    for _ in range(10):
        count(works, 1, 36e6)
        await account.look()
    count(works, 60, 36e6)      # nobody has looked for a minute: not counted
    await account.look()
    body = (await works.get("/dcpi/api/v1/heat/municipal/status")).body["economic_metrics"]
    assert account.account.today.energy_wh - before.energy_wh == pytest.approx(0.1e6)
    assert body["revenue_today_eur"] == pytest.approx(2.5, abs=0.1)
    assert body["carbon_offset_tons_co2"] == pytest.approx(0.02, abs=0.001)
    assert body["heat_price_eur_per_mwh"] == 25.0


async def test_another_currency_is_not_called_euro(tmp_path: Path, state_dir: Path, tls: Path) -> None:
    """A price in crowns under the name of euros would be a lie by a factor of eleven."""
    site = heat_site(heat_network=HeatFacts("heat-1", "", 280.0, "SEK"))
    async for house in opened(tmp_path, state_dir, site, tls):
        body = (await house.get("/dcpi/api/v1/heat/municipal/status")).body
        assert (body["economic_metrics"]["currency"], body["economic_metrics"]["heat_price_per_mwh"]) == ("SEK", 280.0)
        assert [k for k in body["economic_metrics"] if "eur" in k or "carbon" in k] == []
        assert body["municipal_partner"] == "heat-1"


async def test_todays_revenue_survives_a_restart_and_ends_with_the_day(tmp_path: Path) -> None:
    """Kept every ten seconds; a new day in UTC begins at nothing."""
    from pswd_edge.clock import FakeClock
    clock, store = FakeClock(), Store(tmp_path)
    account = HeatAccount(store, clock)
    for _ in range(12):
        clock.advance(1)
        account.add(36e6, 25.0, None)
        await account.keep()
    store.close()
    store = Store(tmp_path)
    again = HeatAccount(store, clock)
    assert again.today.revenue == pytest.approx(2.5)    # of twelve seconds the first ten were written down
    clock.advance(86_400)
    again.add(36e6, 25.0, None)
    assert again.today.energy_wh == 0.0
    store.close()


# --- what the heat network asks for -------------------------------------------------------------------------------

class Network:
    """A heat network that says one thing, or nothing."""

    def __init__(self, content: dict[str, Any] | None) -> None:
        self.content, self.asked = content, 0

    def endpoint(self, target: str) -> object:
        return target

    async def ask(self, target: str, method: str, path: str, *, timeout_s: float) -> Reply:
        self.asked += 1
        assert (target, method, path) == ("heat", "GET", "/conditions")
        if self.content is None:
            raise OutsideError("refused")
        return Reply(200, self.content)


async def test_demand_is_shown_while_it_is_said(works: House) -> None:
    """Older than five minutes it is left out, and the contract's price counts again."""
    services = works.gateway.services
    network = Network({"current_request_w": 12e6, "peak_forecast_w": 15e6, "season": "winter_heating",
                       "price_per_mwh": 30.0})
    services.heat_demand._outside = network
    await services.heat_demand.look()
    body = (await works.get("/dcpi/api/v1/heat/municipal/status")).body
    assert body["municipal_demand"] == {"current_request_mw": 12.0, "peak_demand_forecast_mw": 15.0,
                                        "seasonal_profile": "winter_heating"}
    assert body["economic_metrics"]["heat_price_eur_per_mwh"] == 30.0
    thermal = (await works.get("/dcpi/api/v1/thermal/status")).body
    assert thermal["heat_recovery"]["municipal_demand_mw"] == 12.0
    network.content = None
    works.control.clock.advance(OLDEST_S + 1)
    works.control.run(30)
    await services.heat_demand.look()
    body = (await works.get("/dcpi/api/v1/heat/municipal/status")).body
    assert "municipal_demand" not in body
    assert body["economic_metrics"]["heat_price_eur_per_mwh"] == 25.0


@pytest.mark.parametrize("wrong", ["12", True, -1.0, 1e300])
async def test_a_demand_that_is_no_number_is_none(works: House, wrong: object) -> None:
    """What comes from outside is believed no further than its form."""
    network = Network({"current_request_w": wrong})
    service = Polled(network, works.control.clock, "heat", "/conditions", HeatDemand)
    await service.look()
    assert service.read() is None


# --- what is offered ----------------------------------------------------------------------------------------------

class Told(NamedTuple):
    id: str
    status: str = "acknowledged"
    response: str = "taken"
    at_utc_s: float = 0.0


class Post:
    """The outbox: remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, Any], str]] = []
        self.answer = Told("")

    async def send(self, target: str, kind: str, payload: dict[str, Any], origin: str, message_id: str) -> Told:
        self.sent.append((target, kind, payload, origin))
        return self.answer._replace(id=message_id)

    async def find(self, message_id: str) -> Told:
        return self.answer._replace(id=message_id)


def offer(house: House, heat_mw: float = 5.0, *, begins_s: float = 60.0, lasts_s: float = 3600.0,
          **coordination: object) -> dict[str, Any]:
    begin = house.control.clock.utc_s() + begins_s
    return {"availability_window": {"start_time": iso_utc(begin), "end_time": iso_utc(begin + lasts_s)},
            "heat_profile": {"available_heat_mw": heat_mw, "supply_temperature_c": 85.0,
                             "maximum_flow_rate_m3h": 200.0, "reliability_percent": 95},
            "coordination": coordination}


@pytest.fixture
def post(works: House) -> Post:
    found = Post()
    works.gateway.services.heat_offers._delivery = found
    return found


async def test_an_offer_is_told_to_the_heat_network_and_kept(works: House, post: Post) -> None:
    """In SI to it; shown until it is over, with what was delivered in its time."""
    works.control.run(1, workloads=(make_workload("job-1"),))
    answer = await works.post(OFFER, offer(works, workload_dependent=True, affected_workloads=["job-1"],
                                           flexibility_mw=2.0))
    assert answer.status == 200, answer.body
    HeatAvailabilityAnswer.model_validate(answer.body)
    assert (answer.body["status"], answer.body["message"]) == ("acknowledged", "taken")
    assert answer.body["deliverable_heat_mw"] == pytest.approx(5.413, abs=0.001)
    target, kind, payload, origin = post.sent[0]
    assert (target, kind, origin) == ("heat", "availability", f"dcpi:{CLIENT_ID}")
    assert (payload["heat_w"], payload["flow_max_lpm"], payload["flexibility_w"]) == (
        5e6, pytest.approx(3333.333, abs=0.01), 2e6)
    heat = works.gateway.services.heat
    works.control.run(700)                  # the window has begun
    await heat.look()
    for _ in range(10):
        count(works, 1, 36e6)
        await heat.look()
    shown = (await works.get("/dcpi/api/v1/heat/municipal/status")).body["availability"]
    assert [(a["available_heat_mw"], a["delivered_mwh"]) for a in shown] == [(5.0, pytest.approx(0.1))]
    works.control.clock.advance(3700)
    works.control.run(30)
    assert "availability" not in (await works.get("/dcpi/api/v1/heat/municipal/status")).body


@pytest.mark.parametrize(("change", "status", "code"), [
    ({"heat_mw": 5.5}, 409, "INSUFFICIENT_HEAT_CAPACITY"),
    ({"affected_workloads": ["nobody"]}, 404, "RESOURCE_NOT_FOUND"),
    ({"flexibility_mw": 6.0}, 400, "INVALID_REQUEST"),
    ({"lasts_s": 0.0}, 400, "INVALID_REQUEST"), ({"lasts_s": 8 * 86_400.0}, 400, "INVALID_REQUEST"),
    ({"begins_s": -7200.0}, 400, "INVALID_REQUEST"), ({"begins_s": 4e8}, 400, "INVALID_REQUEST")])
async def test_an_offer_that_cannot_be_kept_is_not_told(works: House, post: Post, change: dict, status: int,
                                                       code: str) -> None:
    """More than the exchangers carry, a job that nobody knows, a window that is over or far away."""
    answer = await works.post(OFFER, offer(works, **change))
    assert (answer.status, answer.body["error"]["code"]) == (status, code), answer.body
    assert post.sent == []
    if status == 409:
        assert answer.body["error"]["details"]["requested_heat_mw"] == 5.5


async def test_an_offer_that_nobody_would_receive_is_refused(works: House) -> None:
    """503: the site names no address of the heat network."""
    assert (await works.post(OFFER, offer(works))).status == 503
    assert works.gateway.services.heat_offers.current() == []


async def test_the_switch_counts_as_it_was_told(works: House) -> None:
    """Control's own word on what the device holds, before the next read."""
    point = works.control.site.point_index["hx-1.enable"]
    works.control.set("hx-1.heat_w", 0.0)
    works.control.run(1, setpoints=(SetpointReport(point, 0.0, "x", 4, "", (), "acknowledged", 0.0),))
    assert (await works.get("/dcpi/api/v1/heat/municipal/status")).body["connection_status"] == "offline"


@pytest.mark.parametrize(("reason", "status", "word"), [
    (None, "acknowledged", "availability received"), ("the line is full", "rejected", "the line is full")])
async def test_the_heat_networks_own_word_is_the_answer(tmp_path: Path, state_dir: Path, tls: Path, reason: str | None,
                                                       status: str, word: str) -> None:
    """Over HTTP to the simulated one; what it needs is polled from it, and what it rejected is not shown as offered."""
    (secret := tmp_path / "token").write_text("a-token-of-the-test")
    secret.chmod(0o600)
    async with GridOperator("a-token-of-the-test") as network:
        site = heat_site(heat_endpoint=OutsideEndpoint(f"http://127.0.0.1:{network.port}/heat", f"file:{secret}"))
        network.faults.update({} if reason is None else {"reject": reason})
        async for house in opened(tmp_path, state_dir, site, tls):
            answer = await house.post(OFFER, offer(house))
            assert (answer.status, answer.body["status"], answer.body["message"]) == (200, status, word)
            assert [(m["side"], m["kind"], m["content"]["heat_w"]) for m in network.received] == [
                ("heat", "availability", 5e6)]
            await house.gateway.services.heat_demand.look()
            body = (await house.get("/dcpi/api/v1/heat/municipal/status")).body
            assert body["municipal_demand"]["current_request_mw"] > 0
            assert ("availability" in body) is (reason is None)


async def test_a_word_that_comes_later_counts(works: House, post: Post) -> None:
    """Pending when it was offered, rejected in the background: it is not shown as offered any more."""
    post.answer = Told("", "pending", "no answer yet")
    answer = await works.post(OFFER, offer(works))
    assert answer.body["status"] == "pending"
    assert (await works.get("/dcpi/api/v1/heat/municipal/status")).body["availability"][0]["status"] == "pending"
    post.answer = Told("", "rejected", "too late")
    works.control.run(110)
    await works.gateway.services.heat.look()
    assert "availability" not in (await works.get("/dcpi/api/v1/heat/municipal/status")).body
