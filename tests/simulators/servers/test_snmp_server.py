"""The SNMP agent over real sockets, with gufo_snmp's and pysnmp's clients."""

from contextlib import asynccontextmanager

import pytest
from fake_plant import ANY, face_of, snmp
from gufo.snmp import Aes128Key, NoSuchInstance, Sha256Key, SnmpDecodeError, SnmpVersion, User
from gufo.snmp.aio import SnmpSession
from pysnmp.hlapi.v3arch.asyncio import (
    CommunityData,
    ContextData,
    ObjectIdentity,
    ObjectType,
    SnmpEngine,
    UdpTransportTarget,
    UsmUserData,
    set_cmd,
    usmAesCfb128Protocol,
    usmHMAC192SHA256AuthProtocol,
)
from pysnmp.proto.rfc1902 import Integer32, OctetString

from simulators.servers.snmp import SnmpAccess, SnmpServer

BASE = "1.3.6.1.4.1.318.1.1.26.9.2"
STATE, COMMAND, POWER = f"{BASE}.3.1.5.1", f"{BASE}.4.1.5.1", f"{BASE}.9.9.1"
POINTS = [
    snmp("outlet_state[1]", STATE, labels={1: "off", 2: "on"}),
    snmp("outlet_command[1]", COMMAND, labels={1: "on", 2: "off"}, readable=False, write=ANY),
    snmp("active_power_w", POWER, "Gauge32", scale=10.0),
    snmp("absent", f"{BASE}.9.9.2"),
]
ACCESS = SnmpAccess(community="lab-reader", user="pswd", auth_key="auth-secret-1", priv_key="priv-secret-1")


@asynccontextmanager
async def running():
    shown = {"outlet_state[1]": 1.0, "outlet_command[1]": 1.0, "active_power_w": 2_250_000.0}
    face, plant, faults = face_of(POINTS, shown, kind="pdu")
    server = SnmpServer("line", face, faults, ACCESS)
    await server.start()
    try:
        yield server, face, plant
    finally:
        await server.stop()


def v2c(server, community="lab-reader", timeout=1.0):
    return SnmpSession("127.0.0.1", port=server.port, community=community, version=SnmpVersion.v2c, timeout=timeout)


def v3(server):
    user = User("pswd", auth_key=Sha256Key(b"auth-secret-1"), priv_key=Aes128Key(b"priv-secret-1"))
    return SnmpSession("127.0.0.1", port=server.port, version=SnmpVersion.v3, user=user, timeout=1.0)


async def set_oid(server, auth, oid, value):
    engine = SnmpEngine()
    try:
        target = await UdpTransportTarget.create(("127.0.0.1", server.port), timeout=1, retries=0)
        pair = ObjectType(ObjectIdentity(oid), value)
        indication, status, _, _ = await set_cmd(engine, auth, target, ContextData(), pair, lookupMib=False)
        return str(indication or ""), str(status.prettyPrint() if status else "")
    finally:
        engine.close_dispatcher()


def v3_user(auth_key="auth-secret-1"):
    return UsmUserData(
        "pswd", auth_key, "priv-secret-1", authProtocol=usmHMAC192SHA256AuthProtocol,
        privProtocol=usmAesCfb128Protocol,
    )


@pytest.mark.parametrize("session", [v2c, v3])
async def test_both_versions_read_values_and_walk_in_order(session):
    """GET, GETNEXT and GETBULK; an outlet that is on says 2, the power comes in hundredths of a kW."""
    async with running() as (server, _, _), session(server) as client:
        assert await client.get(STATE) == 2
        assert await client.get_many([STATE, POWER]) == {STATE: 2, POWER: 225_000}
        assert [oid async for oid, _ in client.getnext(BASE)] == [STATE, COMMAND, POWER]
        assert [item async for item in client.getbulk(BASE)] == [(STATE, 2), (COMMAND, 1), (POWER, 225_000)]


async def test_what_is_not_there_is_said_to_be_not_there():
    """Neither an unknown object nor a missing value may look like 0."""
    async with running() as (server, _, _), v2c(server) as client:
        for oid in (f"{BASE}.9.9.2", f"{BASE}.9.9.7", "1.3.6.1.2.1.1.1.0"):
            with pytest.raises(NoSuchInstance):
                await client.get(oid)


async def test_set_switches_an_outlet_by_v3_and_the_command_is_coded_the_other_way_round():
    """APC: 2 commands off, and 1 is then read as off."""
    async with running() as (server, face, plant):
        assert await set_oid(server, v3_user(), COMMAND, Integer32(2)) == ("", "")
        assert plant.written == [("dut", "outlet_command[1]", 0.0)]
        plant.shown["dut"]["outlet_state[1]"] = 0.0
        face.refresh()
        await server.refresh(face)
        async with v3(server) as client:
            assert await client.get(STATE) == 1


async def test_set_is_refused_with_the_reason():
    """Read-only community, wrong value, type, object and key: nothing is switched by any of them."""
    async with running() as (server, _, plant):
        reader = CommunityData("lab-reader", mpModel=1)
        assert await set_oid(server, reader, COMMAND, Integer32(2)) in (("", "noAccess"), ("", "authorizationError"))
        user = v3_user()
        assert await set_oid(server, user, COMMAND, Integer32(7)) == ("", "wrongValue")
        assert await set_oid(server, user, COMMAND, OctetString("2")) == ("", "wrongType")
        assert await set_oid(server, user, STATE, Integer32(1)) == ("", "notWritable")
        assert await set_oid(server, user, f"{BASE}.4.1.5.9", Integer32(1)) == ("", "notWritable")
        assert (await set_oid(server, v3_user("another-secret"), COMMAND, Integer32(2)))[0]
        assert plant.written == []


async def test_a_wrong_community_gets_no_answer():
    """As in real agents: silence, not a refusal."""
    async with running() as (server, _, _), v2c(server, "public", timeout=0.1) as client:
        with pytest.raises(TimeoutError):
            await client.get(STATE)


async def test_faults_of_values_and_of_answers():
    """Each fault on its own, then the agent is well again."""
    async with running() as (server, face, plant), v2c(server, timeout=0.1) as client:
        faults = face.all_faults

        async def refresh():
            face.refresh()
            await server.refresh(face)

        faults.set("dut", "nan", True)
        await refresh()
        with pytest.raises(NoSuchInstance):
            await client.get(POWER)
        faults.set("dut", "nan", None)
        faults.set("dut", "freeze", True)
        plant.shown["dut"]["active_power_w"] = 10.0
        await refresh()
        assert await client.get(POWER) == 225_000
        faults.set("dut", "freeze", None)
        await refresh()
        assert await client.get(POWER) == 1
        faults.set("dut", "exception", 5)
        assert await set_oid(server, v3_user(), COMMAND, Integer32(1)) == ("", "genErr")
        assert await client.get(POWER) is None    # gufo_snmp 0.13 does not look at the error status
        faults.set("dut", "exception", None)
        silent = (("disconnect", True), ("drop", 1.0), ("garbage", "frame"), ("garbage", "late"), ("delay", 0.3))
        for name, value in silent:
            faults.set("dut", name, value)
            with pytest.raises((TimeoutError, SnmpDecodeError)):
                await client.get(POWER)
            faults.set("dut", name, None)
        assert await client.get(POWER) == 1


async def test_the_engine_id_is_the_devices_own():
    """A client that caches keys by engine id must find the same one after a restart of the simulator."""
    ids = []
    for _ in range(2):
        async with running() as (server, _, _), v3(server) as client:
            await client.get(STATE)
            ids.append(client.get_engine_id())
    assert ids == [b"\x80\x00\x4f\xb8\x04dut"] * 2
