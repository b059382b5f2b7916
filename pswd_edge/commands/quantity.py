"""Numbers as an engineer types them: with a unit, by their label, as a time."""

import re

from pswd_edge.errors import PswdError
from pswd_edge.model.point import Point
from pswd_edge.model.unit import UNITS

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)")
_TIMES = {"": 1.0, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def value_of(text: str, point: Point) -> float:
    """`text` in the point's SI unit: `500000`, `500kW`, or a label of the point. Raises PswdError."""
    for code, name in point.labels.items():
        if text == name:
            return float(code)
    labels = f", or one of {', '.join(point.labels.values())}" if point.labels else ""
    return quantity_of(text, point.unit, point.id, labels)


def quantity_of(text: str, si: str, name: str, others: str = "") -> float:
    """`text` in the SI unit `si`; `name` and `others` (what else could stand there) are for the PswdError."""
    found = _QUANTITY.fullmatch(text.strip())
    if found is None:
        raise PswdError(f"{name}: got {text!r}: expected a number in {si}{others}; nothing was written")
    unit = UNITS.get(found[2] or si)
    if unit is None or unit.si != si:
        fitting = ", ".join(known for known, u in UNITS.items() if u.si == si)
        raise PswdError(f"{name}: got unit {found[2]!r}: expected one of {fitting}; nothing was written")
    number = float(found[1])
    return number * unit.factor + unit.offset if found[2] else number


def seconds(text: str) -> float:
    """`90`, `90s`, `5min` (or `5m`), `2h` in seconds. Raises ValueError, as argparse wants it."""
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or found[2] not in _TIMES:
        raise ValueError(text)
    return float(found[1]) * _TIMES[found[2]]
