"""Rows of a device map to points: one linear step from the raw value to the SI unit, and the write rule."""

from typing import NamedTuple

from pswd_edge.config.map_checks import WORDS, word_type
from pswd_edge.config.map_form import (
    Every,
    MapFile,
    ModbusMap,
    ModbusRow,
    OpcUaMap,
    OpcUaRow,
    PlacedRow,
    RowForm,
    SnmpMap,
    SnmpRow,
)
from pswd_edge.model.point import ModbusAddress, OpcUaAddress, Point, SnmpAddress, WriteRule
from pswd_edge.model.unit import UNITS

Address = ModbusAddress | OpcUaAddress | SnmpAddress
_WHOLE_TYPES = frozenset({
    "bit", "bcd16", "bcd32", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64",
    "Integer", "Integer32", "Unsigned32", "Gauge32", "Counter32", "Counter64", "TimeTicks",
})


class PointContext(NamedTuple):
    """What the site adds to a map's rows. No point is read more often than `every_ms`; 0: as its map says."""

    device: str
    device_index: int
    first_point: int
    period_ms: int
    trend: frozenset[str]
    every_ms: int
    revert_s: float | None


def compile_points(form: MapFile, context: PointContext) -> tuple[Point, ...]:
    """The points of one device, in the order of its map's rows."""
    indices = {row.key: context.first_point + i for i, row in enumerate(form.rows)}
    return tuple(_point(form, row, indices, context) for row in form.rows)


def _point(form: MapFile, row: RowForm, indices: dict[str, int], context: PointContext) -> Point:
    unit = UNITS[row.unit]
    address = make_address(form, row)
    low, high = row.range or (float("-inf"), float("inf"))
    point_id = f"{context.device}.{row.key}"
    return Point(
        index=indices[row.key],
        id=point_id,
        device=context.device_index,
        signal=row.key,
        unit=unit.si,
        address=address,
        scale=raw_step(row),
        offset=row.offset * unit.factor + unit.offset,
        invalid=raw_markers(row, address.type),
        minimum=low,
        maximum=high,
        period_ms=max(context.every_ms, period_ms(every_of(form, row), context.period_ms)),
        frozen_after=row.frozen_after,
        jump=row.jump,
        trend=row.key in context.trend,
        readable=row.readable,
        write=_write_rule(row, address, indices, context),
        labels=dict(row.labels),
        source=", ".join(filter(None, (form.map, row.name, f"page {row.page}" if row.page else ""))),
    )


def raw_step(row: RowForm) -> float:
    """What one of the raw number is worth in the SI unit, apart from a scale register."""
    places = row.fraction_bits if isinstance(row, ModbusRow) else 0
    return row.scale * UNITS[row.unit].factor / 2.0**places


def every_of(form: MapFile, row: RowForm) -> Every:
    """A row's rate class, by itself or by its map."""
    default: Every = form.defaults.every if isinstance(form, ModbusMap | OpcUaMap | SnmpMap) else "cycle"
    return row.every or default


def period_ms(every: Every, cycle_ms: int) -> int:
    """A rate class in ms; none is faster than the cycle."""
    return max(cycle_ms, {"100ms": 100, "1s": 1000, "10s": 10_000}.get(every, cycle_ms))


def make_address(form: MapFile, row: RowForm) -> Address:
    """Where the point lives, the map's defaults filled in. The form must have passed `check_map`."""
    if isinstance(form, ModbusMap) and isinstance(row, ModbusRow):
        word = word_type(form, row)
        assert word is not None, "check_map lets no row without type pass"
        assert row.address is not None, "place_rows lets no row without address pass"
        return ModbusAddress(
            register=row.address,
            type=word,
            kind=row.register_kind or form.defaults.register_kind,
            word_order=row.word_order or form.defaults.word_order,
            byte_order=row.byte_order or form.defaults.byte_order,
            scale_register=row.scale_register,
            bit=row.bit,
            bits=row.bits,
            write_function=0 if row.write is None or row.write.function == "auto" else row.write.function,
            length=row.length or 0,
            model=row.model,
            occurrence=row.occurrence,
            counts=row.counts if isinstance(row, PlacedRow) else (),
        )
    if isinstance(form, OpcUaMap) and isinstance(row, OpcUaRow):
        return OpcUaAddress(row.node, row.type or form.defaults.type, row.deadband)
    assert isinstance(form, SnmpMap), "MAP_FORMS has no other"
    assert isinstance(row, SnmpRow), "a map's rows are of its own protocol"
    return SnmpAddress(row.oid.lstrip("."), row.type or form.defaults.type)


def raw_markers(row: RowForm, raw_type: str) -> tuple[float, ...]:
    """The "not available" markers as decoded raw values: 0x8000 of an int16, as manuals write it, is -32768."""
    markers = row.invalid if isinstance(row.invalid, tuple) else (row.invalid,)
    if raw_type not in WORDS or not raw_type.startswith("int"):
        return tuple(float(m) for m in markers)
    span = 2 ** (16 * WORDS[raw_type])
    return tuple(float(m - span if m >= span // 2 else m) for m in markers)


def _write_rule(
    row: RowForm, address: Address, indices: dict[str, int], context: PointContext
) -> WriteRule | None:
    write = row.write
    if write is None:
        return None
    read_back = indices[write.read_back] if write.read_back else indices[row.key] if row.readable else None
    reverts = write.revert_by is not None and context.revert_s is not None
    return WriteRule(
        minimum=write.min,
        maximum=write.max,
        rate_per_s=write.rate_per_s,
        revert_s=context.revert_s if reverts and context.revert_s is not None else write.revert_s,
        min_interval_s=write.min_interval_s,
        eeprom=write.eeprom,
        tolerance=_tolerance(row, address) if write.tolerance is None else write.tolerance,
        read_back=read_back,
        read_back_values=dict(write.read_back_values),
    )


def _tolerance(row: RowForm, address: Address) -> float:
    """How far a read-back may be from what was written, in the SI unit, where the map does not say.

    Whole numbers with a known step are echoed exactly but for rounding: 0.51 of a step. Of floats, and of numbers
    whose step is in a scale register, 0.1 % of the writable range: the device may round to steps of its own. A float16
    has 11 binary places, so that far from 0 its own rounding is more.
    """
    assert row.write is not None, "asked for writable rows only"
    step_known = not (isinstance(address, ModbusAddress) and address.scale_register is not None)
    if address.type in _WHOLE_TYPES and step_known:
        return 0.51 * abs(raw_step(row))
    rounding = 0.0
    if address.type == "float16":
        unit = UNITS[row.unit]
        zero = row.offset * unit.factor + unit.offset
        rounding = 0.51 * 2.0**-10 * max(abs(row.write.min - zero), abs(row.write.max - zero))
    return max(rounding, 0.001 * (row.write.max - row.write.min))
