"""What a device map must fulfil beyond its form: known words, right units, addresses that do not collide."""

from typing import NamedTuple

from pswd_edge.config.document import Document
from pswd_edge.config.map_form import MapFile, ModbusMap, ModbusRow, ModbusWriteForm, OpcUaRow, RowForm, SnmpRow
from pswd_edge.config.mistakes import Mistakes
from pswd_edge.config.place import Place
from pswd_edge.config.write_checks import check_write
from pswd_edge.model.point import WordType
from pswd_edge.model.signal import SIGNALS, find_signal
from pswd_edge.model.unit import UNITS

WORDS = {
    "int16": 1, "uint16": 1, "float16": 1, "bcd16": 1, "bit": 1, "int32": 2, "uint32": 2, "float32": 2, "bcd32": 2,
    "int64": 4, "uint64": 4, "float64": 4,
}
"""Registers of each type but "string", whose row tells."""
_FLOAT_MAX = {"float16": 65504.0, "float32": (2 - 2.0**-23) * 2.0**127, "float64": float("inf")}


def check_map(form: MapFile, document: Document, stem: str, mistakes: Mistakes) -> None:
    """Note every mistake of a map; `stem` is its file name without ending, which is the map's name."""
    if form.map and form.map != stem:
        mistakes.add(document.file, document.line(("map",)), "map", repr(form.map), f"the file's name, {stem!r}")
    keys: dict[str, int] = {}
    for index, row in enumerate(form.rows):
        place = Place(document, mistakes, ("points", index))
        _check_name(form.kind, row, place, keys)
        _check_unit(form.kind, row, place)
        if row.write is not None:
            check_write(form, row, row.write, place)
        if isinstance(form, ModbusMap) and isinstance(row, ModbusRow):
            _check_register(form, row, place)
    if isinstance(form, ModbusMap):
        _check_overlaps(form, document, mistakes)
    else:
        _check_same_address(form, document, mistakes)


def _check_name(kind: str, row: RowForm, place: Place, keys: dict[str, int]) -> None:
    if (row.signal is None) == (row.id is None):
        found = "neither signal nor id" if row.signal is None else "both signal and id"
        place.complain((), found, "one of them")
        return
    if row.signal and kind in SIGNALS and find_signal(kind, row.signal) is None:
        known = ", ".join(name + ("[n]" if s.array else "") for name, s in SIGNALS[kind].items())
        place.complain(("signal",), repr(row.signal), f"a signal of a {kind}: {known}; or id for what is none")
    elif row.id and find_signal(kind, row.id) is not None:
        place.complain(("id",), repr(row.id), f"signal: {row.id}, as this is a standard signal")
    if row.key in keys:
        line = place.line("points", keys[row.key])
        place.complain(("signal" if row.signal else "id",), f"{row.key!r} again", f"it once (line {line})")
    keys.setdefault(row.key, int(place.base[-1]))


def _check_unit(kind: str, row: RowForm, place: Place) -> None:
    if not row.unit:
        return
    signal = find_signal(kind, row.signal or "")
    unit = UNITS.get(row.unit)
    si = None if signal is None else signal.unit
    if row.percent_of is not None:
        if si not in (None, "W"):
            place.complain(("percent_of",), f"{row.signal} in percent of a power", "a signal in W")
        si = "%"
    fitting = [name for name, u in UNITS.items() if si is None or u.si == si]
    if unit is None:
        place.complain(("unit",), repr(row.unit), "one of " + ", ".join(fitting))
    elif si is not None and unit.si != si:
        place.complain(("unit",), repr(row.unit), f"a unit for {row.signal}: " + ", ".join(fitting))


def word_type(form: ModbusMap, row: ModbusRow) -> WordType | None:
    """The type of a row, or None where neither it nor the map's defaults say."""
    return row.type or form.defaults.type


def is_text(form: MapFile, key: str) -> bool:
    """Whether a point of this map is a text."""
    return any(isinstance(form, ModbusMap) and isinstance(row, ModbusRow) and row.key == key
               and word_type(form, row) == "string" for row in form.rows)


def row_words(row: ModbusRow, type_: WordType) -> int:
    """How many registers a row takes."""
    return WORDS.get(type_) or row.length or 1


def _check_register(form: ModbusMap, row: ModbusRow, place: Place) -> None:
    type_ = word_type(form, row)
    kind = row.register_kind or form.defaults.register_kind
    if row.address is None:    # noted already
        return
    if type_ is None:
        place.complain((), "no type", "type in the row or in defaults")
        return
    if kind in ("coil", "discrete") and type_ != "bit":
        place.complain(("type",), repr(type_), f"'bit' in a {kind}")
    if row.model is not None and kind != "holding":
        place.complain(("model",), f"a model in registers of kind {kind}", "kind holding, where SunSpec models lie")
    words = row_words(row, type_)
    if row.address + words > 65536:
        place.complain(("address",), f"{row.address} with {words} registers", "registers up to 65535")
    if row.write is not None and kind in ("input", "discrete"):
        place.complain(("write",), f"a write rule in a register of kind {kind}", "kind holding or coil")
    if type_ == "string":
        _check_text(row, place)
    else:
        _check_number(row, type_, kind, place)


def _check_number(row: ModbusRow, type_: WordType, kind: str, place: Place) -> None:
    if row.length is not None:
        place.complain(("length",), f"a length of type {type_}", "type string beside it")
    if row.bits is not None:
        _check_bits(row, row.bits, type_, place)
    if row.fraction_bits:
        _check_fraction(row, type_, place)
    if row.write is not None:
        _check_function(row.write, kind, type_, place)
    low, high = _raw_range(type_, row.bits)
    for raw in row.invalid if isinstance(row.invalid, tuple) else (row.invalid,):
        if not low <= raw <= high:
            what = type_ if row.bits is None else f"bits {row.bits[0]} to {row.bits[1]}, 0 to {high:.0f}"
            place.complain(("invalid",), f"{raw:.0f}", f"a raw value of {what}")


_NOT_OF_A_TEXT = ("scale", "offset", "invalid", "range", "scale_register", "bits", "labels", "write", "frozen_after",
                  "jump", "fraction_bits")


def _check_text(row: ModbusRow, place: Place) -> None:
    """A text is no number: nothing that needs one may stand beside it."""
    if row.length is None:
        place.complain((), "a string without length", "length, its registers")
    for key in _NOT_OF_A_TEXT:
        if key in row.model_fields_set and getattr(row, key) not in (None, (), {}):
            place.complain((key,), f"{key} of a string", "none, as a text is no number")
    if row.signal is not None:
        place.complain(("signal",), f"{row.signal!r} as a string", "id, as every standard signal is a number")
    if row.unit not in ("1", ""):
        place.complain(("unit",), repr(row.unit), "'1', as a text has no unit")


def _check_bits(row: ModbusRow, bits: tuple[int, int], word_type: str, place: Place) -> None:
    low, high = bits
    if not word_type.startswith("uint"):
        place.complain(("bits",), f"bits of type {word_type}", "type uint16, uint32 or uint64")
    elif low > high:
        place.complain(("bits",), f"[{low}, {high}]", "[lowest, highest]")
    elif high >= 16 * WORDS[word_type]:
        place.complain(("bits",), f"bit {high} of a {word_type}", f"bits 0 to {16 * WORDS[word_type] - 1}")
    if row.write is not None:
        place.complain(("write",), "a write rule for a bit field", "none, as the register's other bits are not ours")


def _check_fraction(row: ModbusRow, word_type: str, place: Place) -> None:
    if "int" not in word_type:
        place.complain(("fraction_bits",), f"binary places of type {word_type}", "an integer type")
        return
    width = 16 * WORDS[word_type] if row.bits is None else row.bits[1] - row.bits[0] + 1
    if row.fraction_bits > width:
        place.complain(("fraction_bits",), f"{row.fraction_bits}",
                       f"{width} or less, as the raw number has no more bits")


def _check_function(write: ModbusWriteForm, kind: str, word_type: str, place: Place) -> None:
    """Words of one value never leave in two requests, so that function 6 is for one register only."""
    if write.function == "auto" or kind in ("input", "discrete"):
        return
    single = WORDS[word_type] == 1
    possible = (5, 15) if kind == "coil" else (6, 16, 23) if single else (16, 23)
    if write.function not in possible:
        what = f"a {kind}" if kind == "coil" else f"a {kind} register of type {word_type}"
        expected = "auto, " + " or ".join(", ".join(map(str, possible)).rsplit(", ", 1))
        place.complain(("write", "function"), f"{write.function} for {what}", expected)


def _raw_range(word_type: str, bits: tuple[int, int] | None) -> tuple[float, float]:
    """The least and the largest raw number; of signed integers either as a number or as its bit pattern."""
    if bits is not None:
        return 0.0, float(2.0 ** max(0, bits[1] - bits[0] + 1) - 1)
    if word_type in _FLOAT_MAX:
        return -_FLOAT_MAX[word_type], _FLOAT_MAX[word_type]
    if word_type.startswith("bcd"):
        return 0.0, 10.0 ** (4 * WORDS[word_type]) - 1
    width = 16 * WORDS[word_type]
    return -(2.0 ** (width - 1)), float(2**width - 1)


def _check_same_address(form: MapFile, document: Document, mistakes: Mistakes) -> None:
    """Two rows may read the same node or object only as the same type."""
    seen: dict[str, tuple[int, str | None]] = {}
    for index, row in enumerate(form.rows):
        if not isinstance(row, OpcUaRow | SnmpRow):
            continue
        key, address = ("node", row.node) if isinstance(row, OpcUaRow) else ("oid", row.oid)
        first, word_type = seen.setdefault(address, (index, row.type))
        if address and word_type != row.type:
            place = Place(document, mistakes, ("points", index))
            place.complain((key,), f"{address} as another type", f"the type of line {place.line('points', first)}")


class _Span(NamedTuple):
    """Registers that one row takes: from `start`, `words` long, read as `word_type`.

    `kind` is the register kind, and the SunSpec model where they lie in one.
    """

    kind: str
    start: int
    words: int
    word_type: str
    row: int
    key: str


def _conflict(first: _Span, second: _Span) -> bool:
    """Whether two spans, the first beginning no later, share registers but not the way to read them."""
    if second.start >= first.start + first.words:
        return False
    bits = "bit" in (first.word_type, second.word_type) and first.words == second.words
    return first.start != second.start or not (bits or first.word_type == second.word_type)


def _check_overlaps(form: ModbusMap, document: Document, mistakes: Mistakes) -> None:
    """Two rows may read the same registers only in the same way; scale registers are int16."""
    spans: list[_Span] = []
    for index, row in enumerate(form.points):
        kind: str = row.register_kind or form.defaults.register_kind
        if row.model is not None:
            kind += f" {row.model}[{row.occurrence}]"
        type_ = word_type(form, row)
        if row.sunspec is not None:    # its definition has no overlaps
            continue
        if type_ is not None and row.address is not None:
            spans.append(_Span(kind, row.address, row_words(row, type_), type_, index, "address"))
        if row.scale_register is not None:
            spans.append(_Span(kind, row.scale_register, 1, "int16", index, "scale_register"))
    spans.sort(key=lambda s: (s.kind, s.start, s.row))
    widest: _Span | None = None
    for second in spans:
        first = widest
        if first is None or first.kind != second.kind or second.start + second.words > first.start + first.words:
            widest = second
        if first is None or first.kind != second.kind or not _conflict(first, second):
            continue
        late, early = sorted((first, second), key=lambda s: (-s.row, s.key != "scale_register"))
        place = Place(document, mistakes, ("points", late.row))
        line = document.line(("points", early.row, early.key))
        place.complain(
            (late.key,),
            f"{late.start} as {late.word_type}",
            f"no register of line {line}, {early.start} as {early.word_type}",
        )
