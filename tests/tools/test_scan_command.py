"""`pswd-edge scan` over loopback: what is found, what is drafted, what is left alone, and how fast it asks."""

import asyncio
import signal
import struct
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from sunspec2 import mdef

from pswd_edge.commands import scan_targets
from pswd_edge.commands.scan_draft import SITE_FILE, SUNSPEC, write_drafts
from pswd_edge.commands.scan_found import Find
from pswd_edge.commands.scan_targets import hosts_of, not_here, numbers_of, units_of
from pswd_edge.config.map_form import ModbusRow
from pswd_edge.config.maps import load_map
from pswd_edge.errors import PswdError
from tests.field.drivers.opcua_site import NAMESPACE, OpcUaSite
from tests.field.drivers.snmp_agents import AUTH_SECRET, COMMUNITY, PRIV_SECRET, SNMPD, USER, Snmpd
from tests.field.fieldmaker import RawDevice, raw_device
from tests.tools.scannable import identity, made, sunspec_words
from tests.tools.toolrig import ROOT, Typed, control_of, tool_site, typed

JANITZA = identity("Janitza electronics", "UMG 801", "1.4")


async def scanned(devices: Sequence[RawDevice], *words: object) -> Typed:
    ports = ",".join(str(d.port) for d in devices)
    return await typed("scan", "127.0.0.1", "--ports", ports, "--opcua-ports", "none", "--rate", 500, "--runtime-dir",
                       "/nonexistent", *words)


async def test_devices_on_several_ports_are_found_with_their_names(tmp_path: Path) -> None:
    """A meter that says who it is, a gateway with two units that do not, and a port where nobody is."""
    async with raw_device() as meter, raw_device() as gateway:
        made(meter, {1: JANITZA})
        made(gateway, {3: None, 12: None})
        dead = RawDevice()
        dead.port = 1

        found = (await scanned([meter, gateway, dead], "--json")).json["found"]

    assert [(f["port"], f["unit"]) for f in found] == [(meter.port, 1), (gateway.port, 3), (gateway.port, 12)]
    assert found[0]["identity"]["product_code"] == "UMG 801"
    assert found[0]["maps"][0] == "janitza-umg801"
    assert found[1]["identity"] == {}


async def test_a_sunspec_chain_becomes_a_drafted_map(tmp_path: Path) -> None:
    """Marker, chain and common model are read; the rows name model and point, and the rung is drafted."""
    words = sunspec_words(40000, [(1, 66), (203, 105)])
    async with raw_device() as device:
        made(device, {1: None}, words | {0: 0})
        found = await scanned([device], "--json", "--out", tmp_path)

    one = found.json["found"][0]
    assert (one["sunspec_base"], one["models"]) == (40000, [1, 203])
    assert (one["identity"]["vendor"], one["identity"]["serial"]) == ("Acme", "SN-7")
    (path,) = [Path(p) for p in found.json["written"] if Path(p).name != SITE_FILE]
    draft = yaml.safe_load(path.read_text())
    assert (draft["map"], draft["kind"], draft["rung"]) == (path.stem, "meter", "drafted")
    assert {"signal": "active_power_w", "sunspec": "203.W"} in draft["points"]
    if "sunspec" in ModbusRow.model_fields:
        assert load_map(path).rung == "drafted"


@pytest.mark.skipif("sunspec" not in ModbusRow.model_fields, reason="device maps know no SunSpec rows yet")
@pytest.mark.parametrize("models", [[1, m] for m in SUNSPEC] + [[1, 701, 713, 802]], ids=str)
def test_every_sunspec_draft_is_a_map_that_loads(tmp_path: Path, models: list[int]) -> None:
    """A draft with mistakes would only move the night's work."""
    find = Find("modbus", "10.0.4.11", 502, 1, sunspec_base=40000, models=models)
    (path,) = [p for p in write_drafts(tmp_path, [find], "now") if p.name != SITE_FILE]
    assert load_map(path).rung == "drafted"


def test_every_drafted_sunspec_point_is_in_its_models_definition() -> None:
    """A point that the model does not have would be a mistake in each draft."""
    wrong = []
    for model, signals in SUNSPEC.items():
        folder = Path(mdef.__file__).parent / "models" / "json"
        points = {p["name"] for p in mdef.from_json_file(str(folder / f"model_{model}.json"))["group"]["points"]}
        wrong += [f"{model}.{p}" for p in signals.values() if p not in points]
    assert wrong == []


async def test_a_device_that_ignores_unit_ids_is_one_device() -> None:
    """It answers at all 247; thirteen drafts of one meter would be a bad joke."""
    async with raw_device() as device:
        made(device, {1: JANITZA}, anyone=True)
        found = (await scanned([device], "--units", "all", "--json")).json["found"]

    assert len(found) == 1
    assert "every unit id" in found[0]["notes"][0]


async def test_a_device_that_says_nothing_is_known_by_what_it_holds() -> None:
    """The map whose registers are all there and possible: the meter's, though it has no identification at all."""
    form = load_map("eastron-sdm630")
    words = dict.fromkeys(range(600), 0)
    for row in form.rows:
        value = {"V": 231.0, "Hz": 50.02, "A": 12.5}.get(row.unit, 4321.0)
        words.update(enumerate(struct.unpack(">2H", struct.pack(">f", value)), start=row.address))
    async with raw_device() as device:
        made(device, {1: None}, words)
        found = (await scanned([device], "--match", "--json")).json["found"]

    assert found[0]["maps"][0] == "eastron-sdm630"


async def test_a_silent_device_costs_its_time_outs_and_is_not_found() -> None:
    """A port that takes connections and says nothing."""
    async with raw_device() as device:
        device.muted.update(range(256))
        found = await scanned([device], "--units", "1-3", "--timeout-ms", 50)

    assert found.status == 1
    assert found.out.startswith("0 devices found")


async def test_a_scan_never_exceeds_its_rate() -> None:
    """Old controllers fall over; 25 a second is 25 a second, from the first request on and whoever is asked."""
    async with raw_device() as one, raw_device() as two:
        for device in (one, two):
            made(device, {1: JANITZA, 2: None})
        found = await scanned([one, two], "--rate", 25, "--json")
        asked_s = sorted([*one.asked_s, *two.asked_s])

    assert len(asked_s) > 20
    assert found.json["requests"] >= len(asked_s)
    assert len(asked_s) - 1 <= 25 * (asked_s[-1] - asked_s[0]) * 1.05 + 1


async def test_one_request_at_a_time_reaches_a_host() -> None:
    """The answer comes before the next question, on all its ports together."""
    async with raw_device() as one, raw_device() as two:
        for device in (one, two):
            made(device, {1: None})
            device.delay_s = 0.02
        await scanned([one, two], "--units", "1-3")
        asked_s = sorted([*one.asked_s, *two.asked_s])

    assert min(b - a for a, b in pairwise(asked_s)) >= 0.018


async def test_what_control_has_is_passed_over(tmp_path: Path) -> None:
    """The device of a running site sees no second connection; the scan says so and finds the others."""
    async with (raw_device() as owned, raw_device() as other,
                control_of(tool_site(owned, tmp_path), tmp_path) as runtime):
        made(other, {1: JANITZA})
        found = await scanned([owned, other], "--json", "--runtime-dir", runtime)

        assert found.json["passed_over"] == [f"127.0.0.1:{owned.port}"]
        assert [f["port"] for f in found.json["found"]] == [other.port]
        assert owned.connections == 1


async def test_drafts_are_never_written_over(tmp_path: Path) -> None:
    """What was found last time may have been worked on since; nothing is asked in vain either."""
    (tmp_path / SITE_FILE).write_text("mine")
    async with raw_device() as device:
        made(device, {1: JANITZA})
        found = await scanned([device], "--out", tmp_path)

        assert found.status == 1
        assert "not overwritten" in found.err
        assert (tmp_path / SITE_FILE).read_text() == "mine"
        assert device.connections == 0


async def test_the_drafted_site_names_connections_devices_and_what_is_not_known(tmp_path: Path) -> None:
    """It is YAML that can be copied from; a device without map stands as a comment with the probe to type."""
    async with raw_device() as meter, raw_device() as unknown:
        made(meter, {1: JANITZA})
        made(unknown, {7: None})
        found = await scanned([meter, unknown], "--units", "1,7", "--out", tmp_path)
    text = (tmp_path / SITE_FILE).read_text()
    draft = yaml.safe_load(text)

    assert {c["port"] for c in draft["connections"].values()} == {meter.port, unknown.port}
    (device,) = draft["devices"].values()
    assert device == {"map": "janitza-umg801", "connection": f"c-127-0-0-1-{meter.port}", "unit": 1}
    assert f"pswd-edge probe modbus 127.0.0.1:{unknown.port} 7 --address N" in text
    assert f"127.0.0.1:{meter.port} unit 1: modbus Janitza electronics UMG 801 1.4" in found.err.splitlines()
    assert f"written: {tmp_path / SITE_FILE}" in found.out


async def test_ctrl_c_keeps_what_was_found(tmp_path: Path) -> None:
    """A long scan that is broken off has not been for nothing: drafts and table are there, exit status 130."""
    async with raw_device() as meter, raw_device() as slow:
        made(meter, {1: JANITZA})
        slow.muted.update(range(256))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pswd_edge", "scan", "127.0.0.1", "--ports", f"{meter.port},{slow.port}",
            "--units", "all", "--opcua-ports", "none", "--rate", "500", "--out", str(tmp_path),
            "--runtime-dir", "/nonexistent", cwd=ROOT, stdout=pipe, stderr=pipe)
        async with asyncio.timeout(20):
            while not slow.asked:  # noqa: ASYNC110  # the device tells nobody
                await asyncio.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()

    assert process.returncode == 130
    assert b"Traceback" not in err
    assert b"1 devices found" in out
    assert (tmp_path / SITE_FILE).exists()


async def test_an_opcua_server_shows_what_it_offers_and_holds(tmp_path: Path) -> None:
    """Policies, modes and tokens by GetEndpoints; numbers by a bounded browse, drafted as a map that loads."""
    site = await asyncio.to_thread(OpcUaSite, tmp_path)
    try:
        found = await typed("scan", "127.0.0.1", "--ports", "none", "--opcua-ports", site.port, "--rate", 500,
                            "--json", "--out", tmp_path / "out", "--runtime-dir", "/nonexistent")
    finally:
        await asyncio.to_thread(site.stop)

    one = found.json["found"][0]
    secured = {("None", "None_"), ("Basic256Sha256", "SignAndEncrypt")}
    assert {(o["policy"], o["mode"]) for o in one["offers"]} >= secured
    nodes = {v["node"]: v for v in one["variables"]}
    assert nodes[f"nsu={NAMESPACE};s=power"]["value"] == 12.5
    assert f"nsu={NAMESPACE};s=name" not in nodes
    (path,) = [Path(p) for p in found.json["written"] if Path(p).name != SITE_FILE]
    assert {row.node for row in load_map(path).rows} == set(nodes)


@pytest.mark.skipif(not SNMPD, reason="net-snmp's snmpd is not installed on this machine")
async def test_snmp_is_asked_only_with_credentials_that_were_given(tmp_path: Path) -> None:
    """Without them not a datagram; with them the system group; a wrong community finds nothing."""
    agent = Snmpd(tmp_path / "snmpd")
    await asyncio.to_thread(agent.start)
    try:
        async def asked(community: str | None) -> Typed:
            keys: tuple[object, ...] = ()
            if community is not None:
                secret = tmp_path / "secret"
                secret.write_text(community)
                secret.chmod(0o600)
                keys = ("--set", "snmp.version=2c", "--set", f"snmp.community_secret=file:{secret}")
            none = ("--ports", "none", "--opcua-ports", "none", "--runtime-dir", "/nonexistent")
            return await typed("scan", "127.0.0.1", *none, "--snmp-ports", agent.port, "--rate", 500, "--json", *keys)

        silent, right, wrong = await asked(None), await asked(COMMUNITY), await asked("no-such-word")
    finally:
        await asyncio.to_thread(agent.stop)

    assert (silent.json["requests"], silent.json["found"]) == (0, [])
    assert wrong.json["found"] == []
    assert right.json["found"][0]["identity"]["object_id"].startswith("1.3.6.1.4.1.8072")
    assert COMMUNITY not in right.out + right.err


@pytest.mark.skipif(not SNMPD, reason="net-snmp's snmpd is not installed on this machine")
async def test_snmp_v3_takes_the_user_that_is_given(tmp_path: Path) -> None:
    """Secrets by reference only; the wrong one finds nothing."""
    agent = Snmpd(tmp_path / "snmpd")
    await asyncio.to_thread(agent.start)
    for name, word in (("auth", AUTH_SECRET), ("priv", PRIV_SECRET), ("wrong", "not-this-secret")):
        (tmp_path / name).write_text(word)
        (tmp_path / name).chmod(0o600)

    async def asked(auth: str) -> Typed:
        none = ("--ports", "none", "--opcua-ports", "none", "--runtime-dir", "/nonexistent", "--rate", 500, "--json")
        keys = (f"username={USER}", f"auth_secret=file:{tmp_path / auth}", f"priv_secret=file:{tmp_path / 'priv'}")
        sets = [word for key in keys for word in ("--set", f"snmp.{key}")]
        return await typed("scan", "127.0.0.1", *none, "--snmp-ports", agent.port, *sets)

    try:
        right, wrong = await asked("auth"), await asked("wrong")
    finally:
        await asyncio.to_thread(agent.stop)

    assert len(right.json["found"]) == 1
    assert wrong.json["found"] == []
    assert AUTH_SECRET not in right.out + right.err


@pytest.mark.parametrize(("target", "said"), [
    ("8.8.8.8", "public"), ("10.0.0.0/16", "--yes-large"), ("0.0.0.0/8", "at most 65536"), ("224.0.0.1", "public"),
    ("no such host", "expected an address"), ("2001:4860:4860::8888", "public"),
])
def test_what_must_not_be_scanned_is_refused(target: str, said: str) -> None:
    """A typing mistake must not knock at the neighbours'."""
    with pytest.raises(PswdError, match=said):
        hosts_of([target], large=False)


def test_a_network_gives_its_hosts_once() -> None:
    """Without network and broadcast address; overlapping targets are asked once."""
    assert [str(h) for h in hosts_of(["10.0.4.0/30", "10.0.4.2"], large=False)] == ["10.0.4.1", "10.0.4.2"]
    assert len(hosts_of(["10.0.0.0/20"], large=True)) == 4094


def test_hosts_behind_a_router_are_known(tmp_path: Path) -> None:
    """Routes without a gateway are the networks that an interface is on; others are told, not refused."""
    routes = tmp_path / "route"
    routes.write_text("Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
                      "eth0 00000000 0104000A 0003 0 0 0 00000000 0 0 0\n"
                      "eth0 0004000A 00000000 0001 0 0 0 F0FFFFFF 0 0 0\n")
    hosts = [ip_address(a) for a in ("10.0.4.11", "10.0.9.1", "127.0.0.1")]
    assert [str(h) for h in not_here(hosts, routes)] == ["10.0.9.1"]


def test_units_and_numbers_are_read_as_typed() -> None:
    """Quick ones first, each once; what is no number is told."""
    assert units_of("all")[: len(scan_targets.QUICK_UNITS)] == list(scan_targets.QUICK_UNITS)
    assert sorted(units_of("all")) == list(range(1, 248))
    assert numbers_of("3,1-4", 1, 9, "x") == [3, 1, 2, 4]
    for wrong in ("a", "1-", "0", "10"):
        with pytest.raises(PswdError):
            numbers_of(wrong, 1, 9, "x")
