"""DCPI's power control: several commands, all checked before the first is sent, each with its own outcome."""

from collections.abc import AsyncIterator
from pathlib import Path

import dcpi_house as module
import pytest
from dcpi_house import CLIENT_ID, DcpiHouse, dcpi_house
from gateway_campus import CAMPUS, FakeDoor, make_site
from msgspec.structs import replace

from pswd_edge.gateway.profiles.dcpi.control_models import PowerControl, PowerControlAnswer
from pswd_edge.gateway.profiles.dcpi.control_orders import orders
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.sender import Sender
from pswd_edge.model.command import Clamped, Rejected, SetBatteryTarget, SetPoint
from pswd_edge.model.site import OutsideEndpoint
from simulators.grid_operator import GridOperator

PATH = "/power/control"
ORIGIN = f"dcpi:{CLIENT_ID}"
SENDER = Sender(f"{ORIGIN}:k", ORIGIN, "client")
DISCHARGE = {"target": "battery_system_1", "action": "discharge",
             "parameters": {"power_mw": 7.5, "duration_sec": 1800, "ramp_rate_mw_per_sec": 0.5}}
NOTICE = {"target": "grid_interface", "action": "signal_load_change",
          "parameters": {"delta_power_mw": -50.0, "notification_time_sec": 300}}
CAP = {"target": "rack-1", "action": "set_cap", "parameters": {"power_mw": 12.0, "duration_sec": 60}}
WITH_PDU = {**CAMPUS, "pdu-1": ("pdu", {"active_power_w": (5e3, False), "outlet_command[1]": (1.0, False)})}


def with_pdu(site):
    """The site with words for its outlet's values, as its device map gives them."""
    points = tuple(replace(p, labels={1: "on", 2: "off"}) if "outlet" in p.signal else p for p in site.points)
    return replace(site, points=points)


class Door(FakeDoor):
    """Answers by what is asked."""

    def __init__(self):
        super().__init__()
        self.by_kind = {}

    async def ask(self, request, timeout_s):
        self.outcome = self.by_kind.get(type(request))
        return await super().ask(request, timeout_s)


@pytest.fixture
async def own(tmp_path: Path, state_dir: Path, tls: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DcpiHouse]:
    """The house, with a grid operator outside, a PDU inside, and a door that answers by kind."""
    monkeypatch.setattr(module, "FakeDoor", Door)
    monkeypatch.setattr(module, "make_site", lambda **site: with_pdu(make_site(**site)))
    secret = tmp_path / "operator-token"
    secret.write_text("operator-token")
    secret.chmod(0o600)
    async with GridOperator("operator-token") as operator:
        endpoint = OutsideEndpoint(f"http://127.0.0.1:{operator.port}/grid", f"file:{secret}")
        async with dcpi_house(tmp_path, state_dir, tls, campus=WITH_PDU, grid_endpoint=endpoint) as house:
            house.operator = operator
            yield house


async def send(own, *commands, status=200, **more):
    answer = await own.post(PATH, {"commands": list(commands)}, **more)
    assert answer.status == status, answer.body
    if status == 200:
        PowerControlAnswer.model_validate(answer.body)
    return answer.body


async def test_the_contract_s_own_example_is_carried_out(own):
    """Battery and grid operator in one request, each told apart in the answer."""
    body = await send(own, DISCHARGE, NOTICE, headers={"Idempotency-Key": "k"})

    assert [c["status"] for c in body["commands"]] == ["executed", "executed"]
    [request] = own.door.asked
    assert isinstance(request, SetBatteryTarget)
    assert (request.id, request.power_w, request.ramp_w_per_s, request.ttl_s) == (
        f"{ORIGIN}:k:0", 7.5e6, 0.5e6, 1800.0)
    [heard] = own.operator.received
    assert (heard["kind"], heard["content"]) == ("load_change", {"delta_power_w": -50e6, "in_s": 300})


async def test_a_clamped_command_says_what_is_given_and_when(own):
    """A charge is negative inside and positive outside, as it was asked."""
    own.door.by_kind[SetBatteryTarget] = Clamped(id="", value=-4e6, limit="ramp", reason="by ramp", eta_s=40.0)

    body = await send(own, {"target": "battery_system", "action": "charge", "parameters": {"power_mw": 9}})

    assert own.door.asked[0].power_w == -9e6
    assert {"granted_power_mw": 4.0, "limit": "ramp", "eta_sec": 40.0}.items() <= body["commands"][0].items()


async def test_one_refusal_does_not_take_the_others_back(own):
    """What was taken was taken: the answer says which."""
    own.door.by_kind[SetPoint] = Rejected(id="", code="conflict", reason="rack-1 is interlocked")

    body = await send(own, CAP, DISCHARGE)

    assert [(c["status"], c.get("code")) for c in body["commands"]] == [("rejected", "CONFLICT"), ("executed", None)]


async def test_where_all_are_refused_the_request_is(own):
    """A 200 would hide it; the details keep each one's reason."""
    own.door.by_kind[SetPoint] = Rejected(id="", code="conflict", reason="interlocked")
    own.door.by_kind[SetBatteryTarget] = Rejected(id="", code="forbidden", reason="not now")

    body = await send(own, CAP, DISCHARGE, status=409)

    assert [c["code"] for c in body["error"]["details"]["commands"]] == ["CONFLICT", "FORBIDDEN"]


@pytest.mark.parametrize(("last", "status"), [
    ({"target": "battery_system_2", "action": "standby"}, 404),
    ({"target": "bess-1", "action": "standby"}, 409),
    ({"target": "rack-9", "action": "release_cap"}, 404),
    ({"target": "cdu-1", "action": "set_cap", "parameters": {"power_mw": 1}}, 404),
    ({"target": "battery_system", "action": "charge", "parameters": {}}, 400),
    ({"target": "battery_system", "action": "set_cap", "parameters": {"power_mw": 1}}, 400),
    ({"target": "battery_system", "action": "load_smooth", "parameters": {"power_mw": 1}}, 400),
    ({"target": "battery_system", "action": "discharge", "parameters": {"power_mw": -1}}, 400),
    ({"target": "pdu-1", "action": "switch_off", "parameters": {"outlet": 9}}, 404),
    ({"target": "rack-1", "action": "release_cap"}, 400)])
async def test_nothing_is_sent_where_the_last_command_is_wrong(own, last, status):
    """A half-done list is worse than none."""
    await send(own, CAP, NOTICE, last, status=status)

    assert own.door.asked == []
    assert own.operator.received == []


async def test_caps_and_outlets_are_set_points_with_an_end(own):
    """Control's arbiter has the last word on both; the device map says what "off" is."""
    await send(own, CAP, {"target": "pdu-1", "action": "switch_off", "parameters": {"outlet": 1}},
               {"target": "rack-2", "action": "release_cap"})

    asked = {request.point: (request.value, request.ttl_s) for request in own.door.asked}
    assert asked == {"rack-1.power_cap_w": (12e6, 60.0), "pdu-1.outlet_command[1]": (2.0, 900.0),
                     "rack-2.power_cap_w": (None, 0.0)}


async def test_what_the_grid_operator_refuses_is_rejected(own):
    """A notice that it does not want is not executed; its own words say why."""
    own.operator.fault("reject", "not in this hour")

    body = await send(own, NOTICE)

    assert body["commands"][0]["status"] == "rejected"
    assert "not in this hour" in body["commands"][0]["message"]


async def test_a_grid_operator_that_is_slow_leaves_it_pending(own, monkeypatch):
    """The contract wants an answer within a second; the message is on disk, and goes on."""
    monkeypatch.setattr("pswd_edge.gateway.profiles.dcpi.control.NOTICE_WAIT_S", 0.05)
    own.operator.fault("fail", 500)

    body = await send(own, NOTICE)

    assert body["commands"][0]["status"] == "pending"


def test_a_single_battery_may_be_named_by_its_own_id():
    """With one battery the target of all is the target of it."""
    site = make_site()
    alone = replace(site, control=replace(site.control, batteries=site.control.batteries[:1]))
    message = PowerControl.model_validate({"commands": [{"target": "bess-1", "action": "standby"}]})
    [order] = orders(message.commands, alone, SENDER, 0.0)
    assert isinstance(order.work, SetBatteryTarget)
    assert (order.work.power_w, order.work.ttl_s) == (0.0, 900.0)


def test_a_site_without_batteries_says_so():
    """404, not a command to nothing."""
    site = make_site()
    none = replace(site, control=replace(site.control, batteries=()))
    message = PowerControl.model_validate({"commands": [DISCHARGE]})
    with pytest.raises(RefusalError, match="this site has no battery") as refused:
        orders(message.commands, none, SENDER, 0.0)
    assert refused.value.status == 404


async def test_a_notice_that_nobody_would_receive_holds_back_everything(dcpi):
    """503 before the first command is sent: the site file names no grid operator."""
    body = await send(dcpi, DISCHARGE, NOTICE, status=503)

    assert body["error"]["cause"] == "NO_GRID_OPERATOR"
    assert dcpi.door.asked == []
