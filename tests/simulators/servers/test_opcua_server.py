"""The OPC UA server over real sockets, with asyncua's own client."""

import asyncio
import math
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from asyncua import Client, ua
from fake_plant import ANY, face_of, opcua

from simulators.servers.opcua import OpcUaServer

# one server for all: its standard address space takes seconds to build
pytestmark = pytest.mark.asyncio(loop_scope="module")

STATES = {1: "starting", 3: "running", 9: "fault"}
POINTS = [
    opcua("power_w", "Bess.Power"), opcua("state", "Bess.State", "Int32", labels=STATES),
    opcua("enable", "Bess.Enable", "Boolean", write=ANY), opcua("power_setpoint_w", "Bess.Setpoint", write=ANY),
    opcua("absent", "Bess.Absent"),
]


def shown():
    return {"power_w": 5e6, "state": 6.0, "enable": 1.0, "power_setpoint_w": 0.0}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_server():
    face, plant, faults = face_of(POINTS, shown(), kind="battery")
    server = OpcUaServer("line", [face], faults, "opc.tcp://127.0.0.1:0/bess")
    await server.start()
    try:
        yield server, face, plant
    finally:
        await server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def served(module_server):
    """The server as new: values, set-points and faults."""
    server, face, plant = module_server
    plant.shown["dut"] = shown()
    plant.written.clear()
    face.refresh()
    await server.refresh(face)
    yield server, face, plant
    for device_id in ("dut", "line"):
        for name in ("freeze", "nan", "sentinel", "delay", "drop", "disconnect", "exception", "garbage"):
            face.all_faults.set(device_id, name, None)
    await server.follow()


@asynccontextmanager
async def client_of(server, answer_s=2.0):
    async with Client(f"opc.tcp://127.0.0.1:{server.port}/bess", timeout=answer_s) as client:
        index = await client.get_namespace_index("urn:test:dut")
        yield client, lambda name: client.get_node(f"ns={index};s=Bess.{name}")


async def test_nodes_hold_values_types_and_source_times(served):
    """Found by namespace URI; an enumeration in the map's own numbers; a missing value is Bad, never 0."""
    server, face, plant = served
    async with client_of(server) as (_, node):
        assert await node("Power").read_value() == 5e6
        assert await node("State").read_value() == 9
        assert (await node("Enable").read_data_value()).Value == ua.Variant(True, ua.VariantType.Boolean)
        absent = await node("Absent").read_data_value(raise_on_bad_status=False)
        assert absent.StatusCode.is_bad()
        assert absent.Value is None or absent.Value.Value is None

        plant.shown["dut"]["power_w"] = math.nan
        face.refresh()
        await server.refresh(face)
        power = await node("Power").read_data_value(raise_on_bad_status=False)
        assert power.StatusCode.is_bad()
        age = datetime.now(UTC) - power.SourceTimestamp.replace(tzinfo=UTC)
        assert 0 <= age.total_seconds() < 2


async def test_writes_reach_the_plant_and_bad_ones_are_refused_with_their_reason(served):
    """Type, range and access right are three different answers, and none of them changes the plant."""
    server, _, plant = served
    async with client_of(server) as (_, node):
        await node("Setpoint").write_value(ua.DataValue(ua.Variant(-3e6, ua.VariantType.Double)))
        await node("Enable").write_value(ua.DataValue(ua.Variant(False, ua.VariantType.Boolean)))
        assert plant.written == [("dut", "power_setpoint_w", -3e6), ("dut", "enable", 0.0)]
        assert await node("Setpoint").read_value() == -3e6
        for name, value, error in (
            ("Setpoint", ua.Variant(5, ua.VariantType.Int32), ua.uaerrors.BadTypeMismatch),
            ("Setpoint", ua.Variant(2e9, ua.VariantType.Double), ua.uaerrors.BadOutOfRange),
            ("Setpoint", ua.Variant(math.nan, ua.VariantType.Double), ua.uaerrors.BadOutOfRange),
            ("Power", ua.Variant(1.0, ua.VariantType.Double), ua.uaerrors.BadUserAccessDenied),
        ):
            with pytest.raises(error):
                await node(name).write_value(ua.DataValue(value))
        assert len(plant.written) == 2
        assert await node("Setpoint").read_value() == -3e6


async def test_subscribers_are_told_of_new_values(served):
    """Slow points come by subscription."""
    seen = asyncio.Queue()

    class Handler:
        def datachange_notification(self, node, value, data):
            seen.put_nowait(value)

    server, face, plant = served
    async with client_of(server) as (client, node):
        subscription = await client.create_subscription(20, Handler())
        await subscription.subscribe_data_change(node("Power"))
        assert await asyncio.wait_for(seen.get(), 2) == 5e6
        plant.shown["dut"]["power_w"] = 6e6
        face.refresh()
        await server.refresh(face)
        assert await asyncio.wait_for(seen.get(), 2) == 6e6
        await subscription.delete()


async def test_value_faults_show_as_nan_bad_and_standstill_with_time_going_on(served):
    """A frozen value comes with a new time stamp each time: only its sameness gives it away."""
    server, face, plant = served
    async with client_of(server) as (_, node):
        faults = face.all_faults

        async def after(name, value):
            faults.set("dut", name, value)
            face.refresh()
            await server.refresh(face)
            return await node("Power").read_data_value(raise_on_bad_status=False)

        assert math.isnan((await after("nan", True)).Value.Value)
        faults.set("dut", "nan", None)
        assert (await after("sentinel", True)).StatusCode.is_bad()
        faults.set("dut", "sentinel", None)
        assert (await after("exception", 4)).StatusCode.value == 0x808B0000    # BadDeviceFailure
        faults.set("dut", "exception", None)
        first = await after("freeze", True)
        plant.shown["dut"]["power_w"] = 1.0
        second = await after("freeze", True)
        assert (first.Value.Value, second.Value.Value) == (5e6, 5e6)
        assert second.SourceTimestamp > first.SourceTimestamp


async def test_transport_faults_are_late_lost_and_misdirected_answers(served):
    """The client must see a time-out, not a broken channel, and be served again when the fault is over."""
    server, face, _ = served
    async with client_of(server, answer_s=0.15) as (_, node):
        faults, power = face.all_faults, node("Power")
        loop = asyncio.get_running_loop()
        faults.set("dut", "delay", 0.05)
        asked = loop.time()
        assert await power.read_value() == 5e6
        assert loop.time() - asked >= 0.045
        faults.set("dut", "delay", None)
        for name, value in (("drop", 1.0), ("garbage", "late")):
            faults.set("dut", name, value)
            with pytest.raises(asyncio.TimeoutError):
                await power.read_value()
            faults.set("dut", name, None)
            assert await power.read_value() == 5e6


@pytest.mark.parametrize("garbage", ["transaction", "frame"])
async def test_garbage_breaks_the_session_and_not_the_server(served, garbage):
    """asyncua's client gives a session up after an answer to nothing or no answer at all; a new one must work."""
    server, face, _ = served
    async with client_of(server, answer_s=0.15) as (_, node):
        face.all_faults.set("dut", "garbage", garbage)
        with pytest.raises((asyncio.TimeoutError, ConnectionError)):
            await node("Power").read_value()
        face.all_faults.set("dut", "garbage", None)
    async with client_of(server) as (_, node):
        assert await node("Power").read_value() == 5e6


async def test_disconnect_closes_the_port_until_it_is_over(served):
    """A client must meet a refused connection, and find the same port again."""
    server, face, _ = served
    port = server.port
    face.all_faults.set("line", "disconnect", True)
    await server.follow()
    with pytest.raises(OSError, match="onnect"):
        await asyncio.open_connection("127.0.0.1", port)
    face.all_faults.set("line", "disconnect", None)
    await server.follow()
    assert server.port == port
    async with client_of(server) as (_, node):
        assert await node("Power").read_value() == 5e6
