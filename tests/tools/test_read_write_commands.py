"""`pswd-edge read` and `write`: against a real control process and a real device, and without control."""

import asyncio
from pathlib import Path

import pytest

from pswd_edge.model.command import Mode
from tests.field.fieldmaker import raw_device
from tests.tools.toolrig import control_of, ordered, site_file, tool_site, typed


async def test_tools_go_through_the_one_session_that_control_has(tmp_path: Path) -> None:
    """Read, fresh read, probe and write while control runs: the device never sees a second connection."""
    async with raw_device() as device, control_of(tool_site(device, tmp_path), tmp_path) as runtime:
        where = ("--runtime-dir", runtime)
        read = await typed("read", "dev0.p0", "--json", *where)
        fresh = await typed("read", "dev0.p0", "dev0.p1", "--raw", "--json", *where)
        probe = await typed("probe", "dev0", "--address", 10, "--expect", "1234.5", "--json", *where)
        await ordered(runtime, Mode.MANUAL)
        write = await typed("write", "dev0.p2", "1200", "--for", "5s", "--json", *where)

        assert read.status == fresh.status == probe.status == write.status == 0
        assert read.json["readings"][0]["value"] == 1234.5
        power, state = fresh.json["readings"]
        assert (power["value"], power["raw"], power["request"]) == (1234.5, "449a5000", "holding 10+3")
        assert (state["value"], state["label"]) == (3.0, "running")
        assert probe.json["rows"][0]["register"] == 10
        assert probe.json["rows"][0]["value"] == 1234.5
        assert device.words[20] == 1200
        assert device.connections == 1


async def test_a_write_is_watched_until_the_device_shows_it(tmp_path: Path) -> None:
    """Outcome first, then pending, acknowledged, verified; a value beyond the map is clamped by control."""
    async with raw_device() as device, control_of(tool_site(device, tmp_path), tmp_path) as runtime:
        await ordered(runtime, Mode.MANUAL)
        plain = await typed("write", "dev0.p2", "1.2kW", "--runtime-dir", runtime)
        clamped = await typed("write", "dev0.p2", "9000", "--json", "--runtime-dir", runtime)

        assert plain.status == 0
        assert plain.out.splitlines()[0] == "Accepted"
        assert plain.out.splitlines()[-1].startswith("verified")
        assert (clamped.json["outcome"]["kind"], clamped.json["outcome"]["limit"]) == ("Clamped", "maximum")
        assert clamped.json["states"][-1]["read_back"] == 5000.0


async def test_a_write_in_observe_says_that_nothing_is_written(tmp_path: Path) -> None:
    """An accepted set-point that is not written would otherwise look like a broken device."""
    async with raw_device() as device, control_of(tool_site(device, tmp_path), tmp_path) as runtime:
        found = await typed("write", "dev0.p2", "1200", "--for", "5s", "--runtime-dir", runtime)

        assert found.status == 1
        assert "mode is OBSERVE" in found.out
        assert device.words[20] == 0


async def test_looks_are_audited_with_their_origin(tmp_path: Path) -> None:
    """Who looked at what is in the journal's events; the ledger has nothing of it."""
    from pswd_edge.image import ImageReader

    async with raw_device() as device, control_of(tool_site(device, tmp_path), tmp_path) as runtime:
        await typed("read", "dev0.p0", "--fresh", "--runtime-dir", runtime)
        with ImageReader(runtime) as image:
            told = [e for e in image.events(0) if e.code == "looked"]

        assert len(told) == 1
        assert told[0].text.startswith("operator:")
        assert "dev0.p0" in told[0].text


async def test_the_gateways_socket_may_not_look(tmp_path: Path) -> None:
    """What faces the network reaches no device, not even to read it."""
    from pswd_edge.commands.running import envelope
    from pswd_edge.door import GATEWAY_SOCKET, DoorClient
    from pswd_edge.model.command import Rejected
    from pswd_edge.model.look import ReadPoints

    async with raw_device() as device, control_of(tool_site(device, tmp_path), tmp_path) as runtime:
        client = DoorClient(runtime / GATEWAY_SOCKET)
        found = await client.look(ReadPoints(**envelope(), points=("dev0.p0",)))
        client.close()

    assert isinstance(found, Rejected)
    assert found.code == "forbidden"


async def test_without_control_a_read_opens_the_device_itself(tmp_path: Path) -> None:
    """At commissioning nothing runs yet."""
    async with raw_device() as device:
        device.words.update({10: 0x449A, 11: 0x5000, 12: 3})
        path = site_file(tmp_path, device.port)
        found = await typed("read", "pcc", "--site", path, "--json", "--runtime-dir", tmp_path / "none")

        assert [(r["point"], r["value"]) for r in found.json["readings"]][:2] == [("pcc.active_power_w", 1234.5),
                                                                                  ("pcc.mode", 3.0)]
        assert found.status == 0


async def test_a_read_of_a_dead_device_says_why(tmp_path: Path) -> None:
    """Exit status 1, the address and the reason; no number."""
    found = await typed("read", "pcc", "--site", site_file(tmp_path, 1), "--runtime-dir", tmp_path / "none")

    assert found.status == 1
    assert "127.0.0.1:1" in found.out
    assert "BAD" in found.out


async def test_a_second_session_is_refused_while_control_runs(tmp_path: Path) -> None:
    """By the site's own folder, and by the address where another site file names the same device."""
    async with raw_device() as device, control_of(tool_site(device, tmp_path), tmp_path) as runtime:
        (tmp_path / "other").mkdir()
        path = site_file(tmp_path / "other", device.port)
        read = await typed("read", "pcc", "--site", path, "--runtime-dir", runtime)
        probe = await typed("probe", "modbus", f"127.0.0.1:{device.port}", 1, "--address", 10, "--runtime-dir", runtime)
        write = await typed("write", "--direct", "--yes", "--site", path, "pcc.cap", 5, "--runtime-dir", runtime)

        assert (read.status, probe.status, write.status) == (1, 1, 1)
        assert "has a session with it" in read.err
        assert "has a session with it" in probe.err
        assert device.connections == 1
        assert device.words[20] == 0


async def test_a_direct_write_needs_the_points_name_typed(tmp_path: Path) -> None:
    """No control guards it: a wrong word writes nothing, the right one is read back and shown."""
    async with raw_device() as device:
        device.words[20] = 0
        where = ("--direct", "--site", site_file(tmp_path, device.port), "--runtime-dir", tmp_path / "none")
        refused = await typed("write", "pcc.cap", 1200, *where, stdin="yes\n")
        assert (refused.status, device.words[20]) == (1, 0)

        beyond = await typed("write", "pcc.cap", 9000, *where, "--yes")
        assert (beyond.status, device.words[20]) == (1, 0)
        assert "expected 0..5000" in beyond.err

        done = await typed("write", "pcc.cap", 1200, *where, stdin="pcc.cap\n")
        assert (done.status, device.words[20]) == (0, 1200)
        assert "read back 1200" in done.out


@pytest.mark.parametrize(("words", "said"), [
    (("read", "dev0.nosuch"), "it has:"), (("read", "nosuch"), "there are: dev0"),
    (("write", "dev0.p0", "1"), "can only be read"), (("write", "dev0.p2", "5 bar"), "expected one of W"),
    (("write", "dev0.p2", "much"), "expected a number"), (("probe", "dev0.nosuch"), "it has:"),
])
async def test_a_wrong_name_is_answered_with_the_right_ones(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """At night nobody remembers how a signal is called."""
    async with raw_device() as device, control_of(tool_site(device, tmp_path), tmp_path) as runtime:
        found = await typed(*words, "--runtime-dir", runtime)
        assert found.status == 1
        assert said in found.err


async def test_without_control_every_tool_says_what_to_do(tmp_path: Path) -> None:
    """No traceback, no guess."""
    found = await asyncio.gather(*(typed(*w, "--runtime-dir", tmp_path) for w in (
        ("read",), ("probe", "pcc", "active_power_w"), ("write", "pcc.cap", "1"))))

    assert [f.status for f in found] == [1, 1, 2]
    assert all("--site" in f.err for f in found)
