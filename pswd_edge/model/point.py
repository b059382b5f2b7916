"""A point: one value of one device, with all that is needed to read, judge and write it."""

from typing import Literal

from msgspec import Struct

WordType = Literal[
    "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64", "bcd16", "bcd32", "bit",
    "string",
]
EffectIs = Literal["equals", "at_most", "off"]
RegisterKind = Literal["holding", "input", "coil", "discrete"]
Order = Literal["big", "little"]


class ModbusAddress(Struct, frozen=True, tag_field="protocol", tag="modbus"):
    """Where a point lives on a Modbus unit; `register` is the wire address, 0-based.

    `scale_register` holds a signed power of ten (SunSpec scale factor) or is None.
    `bit` is the bit number, 0 = least significant, for type "bit" in a register. `bits` is the lowest and the highest
    bit of a field inside a uint16, uint32 or uint64, which is then only read; None: the whole number.
    `write_function` is the Modbus function that writes it, 0 for the usual one of its type.
    "bcd16" and "bcd32" hold four and eight decimal digits, four bits each, without a sign.
    "string" is `length` registers of text, which is no number: its value is NaN, its text stands beside it.

    `model`: the point lies in this SunSpec model, the `occurrence`-th of that number in the unit's chain (0 = the
    first); `register` and `scale_register` then count from the model's ID register, and the driver finds out where
    that is. `counts` are registers of the model with what they must hold, or `register` would mean another thing: the
    number of points of a curve, where curves follow each other.
    """

    register: int
    type: WordType
    kind: RegisterKind = "holding"
    word_order: Order = "big"
    byte_order: Order = "big"
    scale_register: int | None = None
    bit: int = 0
    bits: tuple[int, int] | None = None
    write_function: int = 0
    length: int = 0
    model: int | None = None
    occurrence: int = 0
    counts: tuple[tuple[int, int], ...] = ()


class OpcUaAddress(Struct, frozen=True, tag_field="protocol", tag="opcua"):
    """A node as `nsu=<namespace URI>;s=<id>`, `i=<number>` or `p={<namespace URI>}<name>/<name>`; `type` is for writes.

    `deadband`, in the point's SI unit, is the change below which a subscribed node need not be reported (0: any).
    """

    node: str
    type: str = "Double"
    deadband: float = 0.0


class SnmpAddress(Struct, frozen=True, tag_field="protocol", tag="snmp"):
    """An object identifier in dotted digits; `type` is the SMI type for SET."""

    oid: str
    type: str = "Integer32"


class WriteRule(Struct, frozen=True):
    """What may be written to a point, in the point's SI unit.

    `rate_per_s` is the largest change in a second (0 = any). `revert_s` is the device's own time to fall back
    when nobody writes (0 = never). `min_interval_s` spaces writes; `eeprom` points are written on change only.
    `tolerance` is how far a read-back may be from what was written. `read_back` names the point that shows it
    (its index), or is None where the device shows nothing. `read_back_values` maps a written value to what that point
    then shows, where the two are coded differently; empty: the same value.

    `after` are points (indices) of the same device that must have been acknowledged in the present session before
    this one is sent. `keep_alive_s` is the device's watchdog time, which every write starts anew (0 = none);
    `keep_alive`: the value itself is that time. `keep_alive_value` is written while the device is led, though nobody
    asks for it.

    `sbo` (select before operate): read, select, operate, confirm by read-back within `confirm_s`. `select` is the
    device's own select point, or None; it takes `select_value`, or the value to come where that is None, and holds for
    `select_s`.

    `effect` is the point that shows what the write does, or None. It must come within `effect_tolerance` (the unit of
    that point) in `effect_s`: "equals" the value, "at_most" the value, or nothing is left where the value is
    `off_value` ("off"; other values are not judged).
    """

    minimum: float
    maximum: float
    rate_per_s: float = 0.0
    revert_s: float = 0.0
    min_interval_s: float = 0.0
    eeprom: bool = False
    tolerance: float = 0.0
    read_back: int | None = None
    read_back_values: dict[int, int] = {}
    after: tuple[int, ...] = ()
    keep_alive_s: float = 0.0
    keep_alive: bool = False
    keep_alive_value: float | None = None
    sbo: bool = False
    confirm_s: float = 3.0
    select: int | None = None
    select_value: float | None = None
    select_s: float = 5.0
    effect: int | None = None
    effect_is: EffectIs = "equals"
    effect_tolerance: float = 0.0
    effect_s: float = 10.0
    off_value: float = 0.0


class Point(Struct, frozen=True):
    """One value. `value = raw * scale + offset` in `unit`; `labels` names the values of an enumeration.

    `readable` is False for points that can only be written. `period_ms` is its rate class; it is stale at three
    periods. `frozen_after` is the number of changes of its device's answer after which a bit-identical value is
    called FROZEN (0 = never); `jump` the largest plausible change between two answers, in `unit` (0 = any).
    `labels` maps a value to its name: {3: "normal"}.
    """

    index: int
    id: str
    device: int
    signal: str
    unit: str
    address: ModbusAddress | OpcUaAddress | SnmpAddress
    scale: float = 1.0
    offset: float = 0.0
    invalid: tuple[float, ...] = ()
    minimum: float = float("-inf")
    maximum: float = float("inf")
    period_ms: int = 100
    frozen_after: int = 0
    jump: float = 0.0
    trend: bool = False
    readable: bool = True
    write: WriteRule | None = None
    labels: dict[int, str] = {}
    source: str = ""
