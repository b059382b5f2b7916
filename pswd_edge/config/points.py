"""Rows of a device map to points: one linear step from the raw value to the SI unit, and the write rule."""

from typing import NamedTuple

from msgspec.structs import replace

from pswd_edge.config.control_form import EffectForm
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
from pswd_edge.model.point import EffectIs, ModbusAddress, OpcUaAddress, Point, SnmpAddress, WriteRule
from pswd_edge.model.unit import UNITS

Address = ModbusAddress | OpcUaAddress | SnmpAddress
_WHOLE_TYPES = frozenset({
    "bit", "bcd16", "bcd32", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64",
    "Integer", "Integer32", "Unsigned32", "Gauge32", "Counter32", "Counter64", "TimeTicks",
})


class PointContext(NamedTuple):
    """What the site adds to a map's rows. No point is read more often than `every_ms`; 0: as its map says.

    `rating_w` is the nameplate power, for rows in percent of it. `range_w` is the largest power that control asks of
    the device; None where it asks for none.
    """

    device: str
    device_index: int
    first_point: int
    period_ms: int
    trend: frozenset[str]
    every_ms: int
    revert_s: float | None
    rating_w: float | None = None
    range_w: float | None = None


def compile_points(form: MapFile, context: PointContext) -> tuple[Point, ...]:
    """The points of one device, in the order of its map's rows."""
    indices = {row.key: context.first_point + i for i, row in enumerate(form.rows)}
    return tuple(_point(form, row, indices, context) for row in form.rows)


def _point(form: MapFile, row: RowForm, indices: dict[str, int], context: PointContext) -> Point:
    unit, factor = UNITS[row.unit], si_factor(row, context.rating_w)
    address = make_address(form, row)
    low, high = row.range or (float("-inf"), float("inf"))
    point_id = f"{context.device}.{row.key}"
    return Point(
        index=indices[row.key],
        id=point_id,
        device=context.device_index,
        signal=row.key,
        unit="W" if row.percent_of else unit.si,
        address=address,
        scale=raw_step(row) * factor,
        offset=(row.offset * unit.factor + unit.offset) * factor,
        invalid=raw_markers(row, address.type),
        minimum=low * factor,
        maximum=high * factor,
        period_ms=max(context.every_ms, period_ms(every_of(form, row), context.period_ms)),
        frozen_after=row.frozen_after,
        jump=row.jump * factor,
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


def si_factor(row: RowForm, rating_w: float | None) -> float:
    """What turns the row's SI unit into the point's: W per percent of the rating where it is `percent_of` it."""
    return 1.0 if row.percent_of is None or rating_w is None else rating_w / 100


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
    factor = si_factor(row, context.rating_w)
    read_back = indices[write.read_back] if write.read_back else indices[row.key] if row.readable else None
    reverts = write.revert_by is not None and context.revert_s is not None
    first = dict.fromkeys((*((write.revert_by,) if write.revert_by else ()), *write.after))
    return WriteRule(
        minimum=write.min * factor,
        maximum=write.max * factor,
        rate_per_s=write.rate_per_s * factor,
        revert_s=context.revert_s if reverts and context.revert_s is not None else write.revert_s,
        min_interval_s=write.min_interval_s,
        eeprom=write.eeprom,
        tolerance=(_tolerance(row, address) if write.tolerance is None else write.tolerance) * factor,
        read_back=read_back,
        read_back_values=dict(write.read_back_values),
        after=tuple(indices[signal] for signal in first),
        keep_alive_s=write.keep_alive_s,
        keep_alive=write.keep_alive,
        keep_alive_value=write.keep_alive_value,
        sbo=write.sbo,
        confirm_s=write.confirm_s,
        select=indices[write.select] if write.select else None,
        select_value=write.select_value,
        select_s=write.select_s,
        effect=indices[write.effect] if write.effect else None,
        effect_is=effect_is(row),
        effect_tolerance=_effect_tolerance(row, factor, context),
        effect_s=write.effect_s,
        off_value=float(next((value for value, label in row.labels.items() if label == "off"), 0)),
    )


def effect_is(row: RowForm) -> EffectIs:
    """How the effect is judged where the map does not say: caps and limits from above, switches by what is left."""
    assert row.write is not None, "asked for writable rows only"
    if row.write.effect_is is not None:
        return row.write.effect_is
    if row.key.endswith(("_cap_w", "_limit_percent")):
        return "at_most"
    return "off" if "off" in row.labels.values() else "equals"


def _effect_tolerance(row: RowForm, factor: float, context: PointContext) -> float:
    """Where the map does not say: 5 % of the power that control asks of the device, else of the writable range."""
    write = row.write
    assert write is not None, "asked for writable rows only"
    if write.effect_tolerance is not None:
        return write.effect_tolerance
    return 0.05 * (context.range_w or (write.max - write.min) * factor)


def with_effect(point: Point, meter: Point, form: EffectForm) -> Point:
    """The point, its effect looked for at the meter that the site names."""
    assert point.write is not None, "checked with the references"
    rule = replace(point.write, effect=meter.index, effect_tolerance=form.tolerance, effect_s=form.within_s)
    return replace(point, write=rule)


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
