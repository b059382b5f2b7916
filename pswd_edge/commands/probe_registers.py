"""Probing Modbus: read the registers around an address, rank every decoding, show the rows that would read it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pswd_edge.commands.session import Devices
from pswd_edge.commands.table import table
from pswd_edge.errors import DeviceError
from pswd_edge.field.decodings import FIRST, LAST
from pswd_edge.field.drivers.modbus_explore import Wire
from pswd_edge.field.plausibility import Guess, share
from pswd_edge.model.look import Exchange
from pswd_edge.model.point import ModbusAddress, RegisterKind
from pswd_edge.model.unit import UNITS

_IDENTITY_S = 1.0


class Around(NamedTuple):
    """What was read around an address: words by kind and register, and what went wrong."""

    registers: dict[RegisterKind, dict[int, int]]
    notes: list[str]


async def read_around(devices: Devices, device: str, register: int, kinds: Sequence[RegisterKind]) -> Around:
    """The registers from one below to four above the address; a kind that fails does not spoil the other."""
    found: Around = Around({}, [])
    for kind in kinds:
        words: dict[int, int] = {}
        first = max(0, register + FIRST)
        count = min(register + LAST, 65535) - first + 1
        exchanges = await devices.raw(device, ModbusAddress(first, "uint16", kind), count)
        _take(words, exchanges)
        failed = [e for e in exchanges if e.error]
        if failed:
            found.notes.append(f"{failed[0].request}: {failed[0].error}")
            if any(e.problem == "RefusedError" for e in failed):
                await _piecewise(devices, device, kind, range(first, first + count), words)
        if words:
            found.registers[kind] = words
    return found


async def _piecewise(devices: Devices, device: str, kind: RegisterKind, span: range, words: dict[int, int]) -> None:
    """Where a block is refused, its parts may not be: some devices refuse halves of a number, some what is reserved."""
    for size in (4, 2, 1):
        for register in span:
            wanted = range(register, min(register + size, span.stop))
            if all(r in words for r in wanted):
                continue
            exchanges = await devices.raw(device, ModbusAddress(register, "uint16", kind), len(wanted))
            if any(e.problem == "SilentError" for e in exchanges):
                return
            _take(words, exchanges)


def _take(words: dict[int, int], exchanges: Sequence[Exchange]) -> None:
    for exchange in exchanges:
        raw = bytes.fromhex(exchange.raw)
        for i in range(len(raw) // 2):
            words.setdefault(exchange.start + i, int.from_bytes(raw[2 * i : 2 * i + 2], "big"))


async def identity(devices: Devices, device: str) -> dict[str, str]:
    """Who the device says it is (function 43), where it says so on a TCP port; our own sessions are closed for it."""
    found = devices.site.devices[devices.site.device_index[device]]
    settings = devices.site.connections[found.connection].settings
    if not devices.own or settings.get("transport", "tcp") != "tcp" or not settings.get("host"):
        return {}
    await devices.close()
    wire = Wire(str(settings["host"]), int(settings.get("port") or 502))
    try:
        await wire.open(_IDENTITY_S)
        return await wire.identity(found.unit, _IDENTITY_S)
    except DeviceError:
        return {}
    finally:
        await wire.close()


# --- shown ------------------------------------------------------------------------------------------------------------


def map_row(guess: Guess, unit: str, name: str) -> str:
    """The row of a device map that reads this; a scale of 1000 W is written as unit kW."""
    a, scale = guess.decoding.address, guess.scale
    for other, known in UNITS.items():
        if scale != 1 and known.si == UNITS[unit].si and known.offset == UNITS[unit].offset and (
                abs(known.factor / UNITS[unit].factor / scale - 1) < 1e-9):
            unit, scale = other, 1.0
            break
    parts = [name, f'unit: "{unit}"' if not unit[0].isalpha() else f"unit: {unit}", f"address: {a.register}",
             f"type: {a.type}", f"register: {a.kind}"]
    parts += [f"word_order: {a.word_order}"] if a.word_order != "big" else []
    parts += [f"byte_order: {a.byte_order}"] if a.byte_order != "big" else []
    parts += [f"scale: {scale:g}"] if scale != 1 else []
    return "{" + ", ".join(parts) + "}"


def as_rows(guesses: Sequence[Guess], unit: str, name: str) -> list[dict[str, Any]]:
    """The guesses for programs."""
    weights = share(guesses)
    return [{"value": g.value, "unit": unit, "share": round(w, 4), "evidence": round(g.evidence, 3),
             "register": g.decoding.address.register, "kind": g.decoding.address.kind, "type": g.decoding.address.type,
             "word_order": g.decoding.address.word_order, "byte_order": g.decoding.address.byte_order, "scale": g.scale,
             "words": [f"{w:04x}" for w in g.decoding.words], "also": list(g.also), "row": map_row(g, unit, name)}
            for g, w in zip(guesses, weights, strict=True)]


def shown(rows: Sequence[dict[str, Any]]) -> str:
    """The guesses for people."""
    cells = [[f"{r['value']:.7g}", "" if r["unit"] == "1" else r["unit"], f"{100 * r['share']:.0f} %",
              " ".join(r["words"]), r["row"], _few(r["also"])] for r in rows]
    return table(["value", "unit", "share", "words", "row of the device map", "cannot be told from"], cells,
                 right=("value", "share"))


def _few(names: Sequence[str]) -> str:
    return "; ".join(names[:3]) + (f"; {len(names) - 3} more" if len(names) > 3 else "")
