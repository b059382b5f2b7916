"""`pswd-edge probe`: find out how a register, node or object is to be read."""

import argparse
import asyncio
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from pswd_edge.clock import iso_utc
from pswd_edge.commands.probe_aim import Aim, aimed
from pswd_edge.commands.probe_nodes import describe
from pswd_edge.commands.probe_registers import as_rows, identity, read_around, shown
from pswd_edge.commands.read import fresh_rows
from pswd_edge.commands.read import shown as shown_readings
from pswd_edge.commands.recording import secrets_of, write_recording
from pswd_edge.commands.running import (
    add_runtime_dir,
)
from pswd_edge.commands.session import Devices
from pswd_edge.errors import PswdError
from pswd_edge.field.decodings import TYPES
from pswd_edge.field.plausibility import Clue, rank
from pswd_edge.model.point import ModbusAddress, OpcUaAddress, Point, RegisterKind, SnmpAddress
from pswd_edge.model.site import Site
from pswd_edge.model.unit import UNITS

EPILOG = """examples:
  pswd-edge probe modbus 10.0.4.11 1 --address 3059 --unit kW --expect 812.4
      what lies at 3059 and beside it, as every type and order; --expect is what the device's display shows
  pswd-edge probe pcc active_power_w --expect 812400        the same through the running control
  pswd-edge probe --site site.yaml pcc --record pcc.json    every point of the device, as a fixture for tests
  pswd-edge probe opcua opc.tcp://10.0.4.20:4840 "nsu=urn:acme;s=Power"
  pswd-edge probe snmp 10.0.4.30 1.3.6.1.2.1.33.1.2.4.0 --set version=2c --set community_secret=file:/run/ups

Nothing is written to a device. The share of a row is how certain it is if one of the rows is right."""
_KINDS: dict[str, tuple[RegisterKind, ...]] = {
    "both": ("holding", "input"), "holding": ("holding",), "input": ("input",)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", nargs="+", help="`modbus HOST[:PORT] UNIT`, `opcua URL NODE`, `snmp HOST[:PORT] OID`, "
                        "or `DEVICE [SIGNAL]` of a site")
    parser.add_argument("--site", type=Path, help="open the device of this site from here; refused while control runs")
    add_runtime_dir(parser)
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", help="a key of the connection, as "
                        "in a site file; may be given more than once; secrets as file:PATH")
    parser.add_argument("--address", type=lambda text: int(text, 0), help="Modbus wire address, from 0; 0x40 works too")
    parser.add_argument("--kind", choices=list(_KINDS), default="both", help="kind of register")
    parser.add_argument("--type", choices=["auto", *TYPES], default="auto", help="only this type")
    parser.add_argument("--unit", choices=list(UNITS), help="unit of --range and --expect; by default the map's")
    parser.add_argument("--range", nargs=2, type=float, metavar=("LOW", "HIGH"), help="what the value can be")
    parser.add_argument("--expect", metavar="VALUE", help="what the device's display shows, with all its digits")
    parser.add_argument("--name", help="signal of the row that is proposed")
    parser.add_argument("--top", type=int, default=6, help="rows shown")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write what was read as a fixture for tests")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")


def run(options: argparse.Namespace) -> int:
    """0 where something was read, 1 where nothing was."""
    return asyncio.run(_probe(options))


async def _probe(options: argparse.Namespace) -> int:
    async with aimed(options) as (devices, aim):
        if isinstance(aim.address, ModbusAddress):
            return await _registers(options, devices, aim)
        if aim.address is not None:
            return await _value(options, devices, aim)
        return await _whole_device(options, devices, aim.device)


# --- registers --------------------------------------------------------------------------------------------------------


def map_unit(point: Point) -> str:
    """The unit that a point's map row has most likely: a scale of 1000 W is kW."""
    step = (point.unit, point.scale, point.offset)
    fitting = [name for name, u in UNITS.items() if (u.si, u.factor, u.offset) == step]
    return fitting[0] if fitting else point.unit


def clue_of(options: argparse.Namespace, point: Point | None) -> Clue:
    """What the command line says of the value, completed from the point's map row."""
    unit = options.unit or ("1" if point is None else map_unit(point))
    low, high = options.range or (None, None)
    if options.range is None and point is not None and UNITS[unit].si == point.unit:
        bounds = ((b - UNITS[unit].offset) / UNITS[unit].factor for b in (point.minimum, point.maximum))
        low, high = (b if abs(b) < 1e300 else None for b in bounds)
    if options.expect is None:
        return Clue(unit, low, high)
    try:
        display = Decimal(options.expect)
        step = 10.0 ** int(display.as_tuple().exponent)
    except (ArithmeticError, ValueError) as error:
        raise PswdError(f"--expect: got {options.expect!r}: expected a number") from error
    return Clue(unit, low, high, float(display), step)


async def _registers(options: argparse.Namespace, devices: Devices, aim: Aim) -> int:
    address = aim.address
    assert isinstance(address, ModbusAddress)  # the caller looked
    kinds = _KINDS[options.kind]
    if aim.point is not None and address.kind in kinds:
        kinds = (address.kind, *(k for k in kinds if k != address.kind))
    found = await read_around(devices, aim.device, address.register, kinds)
    clue = clue_of(options, aim.point)
    signal = options.name or (aim.point.signal if aim.point is not None else "")
    name = f"signal: {signal}" if signal else f"id: register_{address.register}"
    guesses = rank(found.registers, address.register, clue, TYPES if options.type == "auto" else (options.type,))
    rows = as_rows(guesses, clue.unit, name)
    if options.record is not None:
        _record(options.record, devices.site, aim.device, {
            "protocol": "modbus", "identity": await identity(devices, aim.device), "address": address.register,
            "expect": options.expect, "unit": clue.unit,
            "registers": {k: {str(r): w for r, w in words.items()} for k, words in found.registers.items()}})
    if options.json:
        print(json.dumps({"address": address.register, "registers": found.registers, "notes": found.notes,
                          "rows": rows[: options.top]}))
        return 0 if rows else 1
    if aim.point is not None:
        shown_readings(await fresh_rows(devices, [aim.point]), raw=True, as_json=False)
        print()
    print(shown(rows[: options.top]) if rows else "no register could be read")
    for note in found.notes:
        print(note)
    if rows and options.expect is None:
        print("--expect VALUE, from the device's own display, tells the rows apart")
    return 0 if rows else 1


# --- nodes, objects, whole devices ------------------------------------------------------------------------------------


async def _value(options: argparse.Namespace, devices: Devices, aim: Aim) -> int:
    """A value with what the protocol says of it."""
    address = aim.address
    assert isinstance(address, OpcUaAddress | SnmpAddress)  # the caller looked
    exchange = (await devices.raw(aim.device, address))[0]
    answer = {"request": exchange.request, "round_trip_ms": round(exchange.round_trip_ms, 2), "value": exchange.value,
              "quality": exchange.quality, "reason": exchange.reason, "error": exchange.error,
              "source_time": None if exchange.source_utc_s is None else iso_utc(exchange.source_utc_s)}
    connection = devices.site.connections[devices.site.devices[devices.site.device_index[aim.device]].connection]
    await devices.close()  # a device may have one session only: what follows opens one of its own
    if devices.own:
        answer |= await describe(connection, address)
    else:
        answer["note"] = "type, access and neighbours need a session of the tool's own: stop control and give --site"
    if options.record is not None:
        _record(options.record, devices.site, aim.device, {"protocol": connection.driver, **answer})
    if options.json:
        print(json.dumps(answer))
    else:
        said = {key.replace("_", " "): value for key, value in answer.items() if value not in (None, "")}
        print("\n".join(f"{key:14} {_line(value)}" for key, value in said.items()))
    return 0 if exchange.value is not None or answer.get("type") else 1


def _line(value: object) -> str:
    return "\n".join(["", *(f"  {'  '.join(map(str, v))}" for v in value)]) if isinstance(value, list) else str(value)


async def _whole_device(options: argparse.Namespace, devices: Devices, device: str) -> int:
    """Every point of a device as its map reads it; with --record as a fixture."""
    points = [p for p in devices.site.points if devices.site.devices[p.device].id == device and p.readable]
    rows = await fresh_rows(devices, points)
    if options.record is not None:
        _record(options.record, devices.site, device, {"points": rows})
    shown_readings(rows, raw=True, as_json=options.json)
    return 0 if any(r["value"] is not None for r in rows) else 1


def _record(path: Path, site: Site, device: str, content: dict[str, Any]) -> None:
    found = site.devices[site.device_index[device]]
    identity = {"vendor": found.vendor, "map": found.map, "kind": found.kind, "unit": found.unit} if found.map else {
        "unit": found.unit}
    write_recording(path, {"recorded": iso_utc(time.time()), "device": identity, **content},
                    secrets_of(site.connections[found.connection]))
