"""A device map as it stands in `devices/<name>.yaml`: one row per point, checked against the vendor's manual."""

from typing import Annotated, Literal

from pydantic import Field

from pswd_edge.config.form import NODE, OID, Form, Number, Span, Text, Whole
from pswd_edge.model.point import EffectIs, Order, RegisterKind, WordType

Every = Literal["cycle", "100ms", "1s", "10s"]
Register = Annotated[Whole, Field(ge=0, le=65535)]
Bit = Annotated[Whole, Field(ge=0, le=63)]
DriverName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class WriteForm(Form):
    """What may be written. `min`, `max`, `rate_per_s` and `tolerance` are in the point's SI unit."""

    min: Number
    max: Number
    rate_per_s: Annotated[Number, Field(ge=0)] = 0.0
    revert_by: Text | None = Field(None, description="signal of the same device that holds its revert time")
    revert_s: Annotated[Number, Field(ge=0)] = Field(0.0, description="the device's own revert time; 0 = never")
    min_interval_s: Annotated[Number, Field(ge=0)] = 0.0
    eeprom: bool = Field(False, description="stored in memory that wears: written on change only")
    tolerance: Annotated[Number, Field(ge=0)] | None = Field(None, description="how far a read-back may be off")
    read_back: Text | None = Field(None, description="signal that shows what was written, where it is another one")
    read_back_values: dict[Whole, Whole] = Field(
        default_factory=dict, description="what `read_back` shows for each written value, where they are coded apart"
    )
    after: tuple[Text, ...] = Field((), description="signals that must be acknowledged before this one is sent")
    keep_alive_s: Annotated[Number, Field(ge=0)] = Field(0.0, description="every write starts this time anew")
    keep_alive: bool = Field(False, description="the value is a time in s that every write starts anew")
    keep_alive_value: Number | None = Field(None, description="written while the device is led, asked for or not")
    sbo: bool = Field(False, description="disruptive: select before operate")
    confirm_s: Annotated[Number, Field(gt=0)] = 3.0
    select: Text | None = Field(None, description="the device's own select point")
    select_value: Number | None = None
    select_s: Annotated[Number, Field(gt=0)] = 5.0
    effect: Text | None = Field(None, description="signal that shows what the write does")
    effect_is: EffectIs | None = None
    effect_tolerance: Annotated[Number, Field(gt=0)] | None = Field(None, description="in the SI unit of `effect`")
    effect_s: Annotated[Number, Field(gt=0)] = 10.0


class ModbusWriteForm(WriteForm):
    """`function`: some devices take only 16 even for one register, some only 6."""

    function: Literal["auto", 5, 6, 15, 16, 23] = Field(
        "auto", description="Modbus function; auto: 5 for a coil, 6 for one register, 16 for several"
    )


class RowForm(Form):
    """What a row has in every protocol. `range` is in the SI unit; `scale` and `offset` lead to `unit`."""

    signal: Text | None = Field(None, description="a standard signal of the device kind")
    id: Text | None = Field(None, description="a name of its own, for what is no standard signal")
    unit: Text
    scale: Number = 1.0
    offset: Number = 0.0
    invalid: Number | tuple[Number, ...] = Field((), description="raw values that mean 'not available'")
    range: Span | None = None
    every: Every | None = None
    labels: dict[Whole, Text] = Field(default_factory=dict)
    readable: bool = True
    write: WriteForm | None = None
    percent_of: Literal["rating_w"] | None = Field(None, description="a power that stands in % of the device's rating")
    frozen_after: Annotated[Whole, Field(ge=0)] = Field(
        0, description="changes of the device's answer after which a value that stood still is called frozen; 0 = never"
    )
    jump: Annotated[Number, Field(ge=0)] = Field(
        0.0, description="largest plausible change between two answers, in the SI unit; 0 = any"
    )
    name: str = Field("", description="the vendor's name")
    page: Annotated[Whole, Field(ge=1)] | None = Field(None, description="page of the manual")

    @property
    def key(self) -> str:
        """The point's name on its device."""
        return self.signal or self.id or ""


class ModbusRow(RowForm):
    """`address` and `scale_register` are wire addresses, from 0; with `model` they count from that model's ID register.

    `sunspec` says it all by the name of a point: address, type, scale register, markers, labels and unit are then those
    of the model's definition.
    """

    unit: Annotated[str, Field(min_length=1)] = Field("", description="may be left out beside `sunspec`")
    sunspec: Text | None = Field(None, description="point of a SunSpec model, as in 701.W or 714.Prt[0].DCW")
    model: Annotated[Whole, Field(ge=1, le=65534)] | None = Field(None, description="SunSpec model with `address`")
    occurrence: Annotated[Whole, Field(ge=0, le=63)] = Field(0, description="which of several models of one number")
    address: Register | None = None
    type: WordType | None = None
    register_kind: RegisterKind | None = Field(None, alias="register")
    word_order: Order | None = None
    byte_order: Order | None = None
    scale_register: Register | None = None
    length: Annotated[Whole, Field(ge=1, le=125)] | None = Field(None, description="registers of a string")
    bit: Annotated[Whole, Field(ge=0, le=15)] = 0
    bits: tuple[Bit, Bit] | None = Field(None, description="lowest and highest bit of a field in an unsigned integer")
    fraction_bits: Annotated[Whole, Field(ge=0, le=63)] = Field(0, description="binary places: raw / 2^fraction_bits")
    write: ModbusWriteForm | None = None


class PlacedRow(ModbusRow):
    """A row of a SunSpec model after its name was looked up; see `model.point.ModbusAddress` for `counts`."""

    counts: tuple[tuple[int, int], ...] = ()


class OpcUaRow(RowForm):
    """`node` is `nsu=<namespace URI>;s=<id>` (or i=, g=, b=; the standard namespace may be left out), or a path."""

    node: Annotated[str, Field(pattern=NODE)]
    type: Text | None = None
    deadband: Annotated[Number, Field(ge=0)] = Field(
        0.0, description="change, in the SI unit, below which a subscribed node is not reported anew; 0 = any change"
    )


class SnmpRow(RowForm):
    """`oid` in dotted digits, with the instance. A row with `repeat` is written out before it is read as this form."""

    oid: Annotated[str, Field(pattern=OID)]
    type: Text | None = None
    repeat: tuple[Whole, Whole] | None = Field(None, description="one row for each number; {n} stands for it")


class Defaults(Form):
    """Taken by every row that does not say otherwise."""

    every: Every = "cycle"


class ModbusDefaults(Defaults):
    """Modbus has no default type: a wrong guess reads garbage."""

    type: WordType | None = None
    register_kind: RegisterKind = Field("holding", alias="register")
    word_order: Order = "big"
    byte_order: Order = "big"


class OpcUaDefaults(Defaults):
    """OPC UA variant type for writes."""

    type: Text = "Double"


class SnmpDefaults(Defaults):
    """SMI type for SET."""

    type: Text = "Integer32"


class MapFile(Form):
    """One device map. `rung` says how far it is trusted: from the manual, from hardware, from a running site."""

    map: Text
    kind: Literal["meter", "battery", "cdu", "chiller", "pdu", "ups", "load_controller", "heat_exchanger"]
    driver: DriverName
    vendor: Text
    source: Text
    rung: Literal["drafted", "recorded", "proven"]

    @property
    def rows(self) -> tuple[RowForm, ...]:
        """The rows, in the order of the file."""
        raise NotImplementedError


class ModbusMap(MapFile):
    """A map for driver modbus. No request spans a barrier register, nor more than `max_registers`."""

    driver: Literal["modbus"]
    max_registers: Annotated[Whole, Field(ge=1, le=125)] = 125
    max_gap: Annotated[Whole, Field(ge=0, le=124)] = 31
    barriers: tuple[Register, ...] = ()
    defaults: ModbusDefaults = Field(default_factory=lambda: ModbusDefaults.model_validate({}))
    counts: dict[Text, Annotated[Whole, Field(ge=1, le=1000)]] = Field(
        default_factory=dict, description="SunSpec counts that decide where points are: {705.NPt: 4}"
    )
    points: tuple[ModbusRow, ...] = Field(min_length=1)

    @property
    def rows(self) -> tuple[ModbusRow, ...]:
        """The rows, in the order of the file."""
        return self.points


class OpcUaMap(MapFile):
    """A map for driver opcua."""

    driver: Literal["opcua"]
    defaults: OpcUaDefaults = OpcUaDefaults()
    points: tuple[OpcUaRow, ...] = Field(min_length=1)

    @property
    def rows(self) -> tuple[OpcUaRow, ...]:
        """The rows, in the order of the file."""
        return self.points


class SnmpMap(MapFile):
    """A map for driver snmp."""

    driver: Literal["snmp"]
    defaults: SnmpDefaults = SnmpDefaults()
    points: tuple[SnmpRow, ...] = Field(min_length=1)

    @property
    def rows(self) -> tuple[SnmpRow, ...]:
        """The rows, in the order of the file."""
        return self.points


MAP_FORMS: dict[str, type[MapFile]] = {"modbus": ModbusMap, "opcua": OpcUaMap, "snmp": SnmpMap}
