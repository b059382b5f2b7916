"""Rows that name a SunSpec point become rows with everything that the model's definition says of it."""

from typing import Any

from pswd_edge.config.document import Document
from pswd_edge.config.map_form import ModbusMap, ModbusRow, PlacedRow
from pswd_edge.config.mistakes import Mistakes
from pswd_edge.config.place import Place
from pswd_edge.config.sunspec import ModelPoint, WrongReferenceError, find_point

_BY_DEFINITION = ("address", "type", "register", "word_order", "byte_order", "scale_register", "length", "bit", "bits",
                  "model")
_SCALE_FACTOR_RANGE = (-10.0, 10.0)


def place_rows(form: ModbusMap, document: Document, mistakes: Mistakes) -> ModbusMap:
    """The map with its SunSpec rows filled in; a row that cannot be found is noted and left as it is."""
    rows = tuple(
        _placed(row, form, Place(document, mistakes, ("points", index))) for index, row in enumerate(form.points)
    )
    return form.model_copy(update={"points": rows})


def _placed(row: ModbusRow, form: ModbusMap, place: Place) -> ModbusRow:
    given = _given(place)
    if row.sunspec is None:
        _check_typed_by_hand(row, given, place)
        return row
    double = [key for key in _BY_DEFINITION if key in given]
    for key in double:
        place.complain((key,), f"{key} beside sunspec", "one of them, as the model's definition tells it")
    if double:
        return row
    try:
        found = find_point(row.sunspec, form.counts)
    except WrongReferenceError as error:
        place.complain(("sunspec",), error.got, error.expected)
        return row
    return _filled(row, found, given, place)


def _given(place: Place) -> dict[str, Any]:
    """The row as it stands in the file; what is no mapping has been noted already."""
    raw = place.document.root.get("points")
    row = raw[int(place.base[-1])] if isinstance(raw, list) else None
    return row if isinstance(row, dict) else {}


def _check_typed_by_hand(row: ModbusRow, given: dict[str, Any], place: Place) -> None:
    if not given:
        return
    if "address" not in given and "sunspec" not in given:
        place.complain((), "neither address nor sunspec", "one of them")
    if "unit" not in given and "sunspec" not in given:
        place.complain(("unit",), "nothing", "a value")
    if row.occurrence and row.model is None:
        place.complain(("occurrence",), f"{row.occurrence} without a model", "model or sunspec beside it")


def _filled(row: ModbusRow, found: ModelPoint, given: dict[str, Any], place: Place) -> ModbusRow:
    if "unit" not in given and not found.unit:
        place.complain((), f"no unit, and a word for it in {row.sunspec} that is not known here", "unit in the row")
    if row.write is not None and not found.writable:
        place.complain(("write",), f"a write rule for {row.sunspec}", "none, as the model only shows it")
    text = found.type == "string"
    more: dict[str, Any] = {
        "address": found.offset, "type": found.type, "register_kind": "holding", "word_order": "big",
        "byte_order": "big", "scale_register": found.scale_offset, "length": found.words if text else None,
        "model": found.model, "counts": found.counts, "scale": row.scale * 10.0**found.power,
        "unit": row.unit if "unit" in given else found.unit or "1",
        "labels": row.labels if "labels" in given else found.labels,
        "invalid": row.invalid if "invalid" in given else found.invalid,
        "name": row.name or row.sunspec,
    }
    if found.scale_factor and row.range is None:
        more["range"] = _SCALE_FACTOR_RANGE
    return PlacedRow.model_construct(row.model_fields_set, **dict(row) | more)
