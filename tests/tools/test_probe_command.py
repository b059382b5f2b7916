"""`pswd-edge probe` against devices whose registers are known: what lies where, on top, as the row that reads it."""

import json
import struct
from pathlib import Path

import pytest

from pswd_edge.config.maps import load_map
from tests.field.fieldmaker import RawDevice, frame, raw_device
from tests.tools.toolrig import site_file, typed

NONE = ("--runtime-dir", "/nonexistent")


def put(device: RawDevice, register: int, form: str, value: float, *, swapped: bool = False) -> None:
    words = list(struct.unpack(f">{struct.calcsize(form) // 2}H", struct.pack(form, value)))
    device.words.update(enumerate(reversed(words) if swapped else words, start=register))


def clear(device: RawDevice) -> None:
    device.words.update(dict.fromkeys(range(3000, 3100), 0))


async def rows_of(device: RawDevice, *words: object) -> list[dict]:
    found = await typed("probe", "modbus", f"127.0.0.1:{device.port}", 1, *words, "--json", *NONE)
    assert found.status == 0, found.err
    return found.json["rows"]


async def test_an_off_by_one_address_is_found_on_top() -> None:
    """The manual says 3060 and counts from 1: the value lies at 3059."""
    async with raw_device() as device:
        clear(device)
        put(device, 3059, ">f", 812.4)
        put(device, 3109, ">f", 50.0)

        top = (await rows_of(device, "--address", 3060, "--unit", "kW"))[0]

    assert (top["register"], top["type"], top["word_order"]) == (3059, "float32", "big")
    assert top["value"] == pytest.approx(812.4, rel=1e-6)
    assert top["row"] == "{id: register_3060, unit: kW, address: 3059, type: float32, register: holding}"


async def test_swapped_words_are_found_on_top() -> None:
    """Low word first; the row says so."""
    async with raw_device() as device:
        clear(device)
        put(device, 3059, ">f", 231.4, swapped=True)

        top = (await rows_of(device, "--address", "0xBF3", "--unit", "V"))[0]

    assert (top["register"], top["type"], top["word_order"]) == (3059, "float32", "little")
    assert "word_order: little" in top["row"]


async def test_the_display_decides_between_neighbours() -> None:
    """Off by one and swapped words between three phases look alike; only the display knows."""
    async with raw_device() as device:
        clear(device)
        for n, voltage in enumerate((229.8, 231.4, 230.6)):
            put(device, 3057 + 2 * n, ">f", voltage)

        top = (await rows_of(device, "--address", 3060, "--unit", "V", "--expect", "231.4"))[0]

    assert (top["register"], top["type"], top["word_order"]) == (3059, "float32", "big")


async def test_a_kind_that_is_refused_does_not_spoil_the_other() -> None:
    """Input registers only, and no more than there are: the rest is still decoded."""
    def refuse(transaction: int, unit: int, pdu: bytes) -> list[bytes] | None:
        start, count = struct.unpack_from(">HH", pdu, 1)
        there = pdu[0] == 4 and start >= 3059 and start + count <= 3061
        return None if there else [frame(transaction, unit, bytes([pdu[0] | 0x80, 2]))]

    async with raw_device() as device:
        clear(device)
        put(device, 3059, ">i", 812_400)
        device.misbehave = refuse
        where = f"127.0.0.1:{device.port}"
        found = await typed("probe", "modbus", where, 1, "--address", 3059, "--unit", "W", "--json", *NONE)

    assert {int(r) for r in found.json["registers"]["input"]} == {3059, 3060}
    assert "holding" not in found.json["registers"]
    assert found.json["rows"][0]["value"] == 812_400
    assert any("illegal address" in note for note in found.json["notes"])


async def test_the_proposed_row_stands_in_a_map(tmp_path: Path) -> None:
    """Copied into a device map as it is printed, it loads and reads that register."""
    async with raw_device() as device:
        clear(device)
        put(device, 3059, ">i", 812_400, swapped=True)
        known = ("--unit", "kW", "--expect", "812.4", "--name", "active_power_w")
        top = (await rows_of(device, "--address", 3059, *known))[0]
    path = tmp_path / "probed.yaml"
    path.write_text("map: probed\nkind: meter\ndriver: modbus\nvendor: Acme\nsource: probe\nrung: drafted\npoints:\n"
                    f"  - {top['row']}\n")

    (row,) = load_map(path).rows

    assert (row.signal, row.unit, row.scale) == ("active_power_w", "W", 1.0)


async def test_a_probe_by_signal_takes_unit_and_range_from_the_map(tmp_path: Path) -> None:
    """And shows beside its guesses what the map reads now."""
    async with raw_device() as device:
        put(device, 10, ">f", 1234.5)
        found = await typed("probe", "pcc", "active_power_w", "--site", site_file(tmp_path, device.port), *NONE)

    assert found.status == 0
    assert "pcc.active_power_w" in found.out
    assert "{signal: active_power_w, unit: W, address: 10, type: float32, register: holding}" in found.out


async def test_a_recording_holds_what_was_read_and_nothing_else(tmp_path: Path) -> None:
    """Registers, device and date for a test; no address of the plant, no second writing of the same file."""
    path = tmp_path / "meter.json"
    async with raw_device() as device:
        put(device, 10, ">f", 1234.5)
        site = site_file(tmp_path, device.port)
        words = ("probe", "pcc", "--site", site, "--record", path, *NONE)
        first, second = await typed(*words), await typed(*words)

    content = json.loads(path.read_text())
    power = next(p for p in content["points"] if p["point"] == "pcc.active_power_w")
    assert (first.status, second.status) == (0, 1)
    assert (power["value"], power["raw"]) == (1234.5, "449a5000")
    assert content["device"]["map"] == "small-meter"
    assert content["recorded"].endswith("Z")
    assert "127.0.0.1" not in path.read_text()
    assert "expected a new name" in second.err


async def test_a_recording_refuses_our_secrets(tmp_path: Path) -> None:
    """A device may well send a community back; it must not land in a repository."""
    from pswd_edge.commands.recording import write_recording
    from pswd_edge.errors import PswdError

    with pytest.raises(PswdError, match="not recorded"):
        write_recording(tmp_path / "x.json", {"text": "community is s3cret-word"}, ["s3cret-word"])
    assert not (tmp_path / "x.json").exists()


async def test_a_dead_device_is_told_with_its_address() -> None:
    """No row, exit status 1."""
    found = await typed("probe", "modbus", "127.0.0.1:1", 1, "--address", 1, *NONE)

    assert found.status == 1
    assert "127.0.0.1:1" in found.out


@pytest.mark.parametrize(("words", "said"), [
    (("modbus", "10.0.4.11", "1"), "--address"),
    (("modbus", "10.0.4.11"), "expected two"),
    (("modbus", "10.0.4.11:99999", "1", "--address", "1"), "HOST:PORT"),
    (("snmp", "10.0.4.11", "1.3.6", "--set", "community_secret=public"), "file:PATH"),
    (("modbus", "127.0.0.1:1", "1", "--address", "1", "--expect", "many"), "expected a number"),
])
async def test_a_wrong_word_is_told(words: tuple[str, ...], said: str) -> None:
    """Before anything is asked."""
    found = await typed("probe", *words, *NONE)
    assert found.status == 1
    assert said in found.err
