"""Where the points of SunSpec models lie: from the model definitions that the package pysunspec2 brings as data.

Source: SunSpec Device Information Model Specification; the JSON files of github sunspec/models.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

from sunspec2.mb import unimpl_value

from pswd_edge.model.point import WordType

_REFERENCE = re.compile(r"(\d+)\.((?:[\w-]+(?:\[\d+\])?\.)*)([\w-]+)")
_GROUP = re.compile(r"([\w-]+)(?:\[(\d+)\])?\.")
_WORD_TYPES: dict[str, WordType] = {
    "int16": "int16", "int32": "int32", "int64": "int64", "uint16": "uint16", "uint32": "uint32", "uint64": "uint64",
    "raw16": "uint16", "count": "uint16", "acc16": "uint16", "acc32": "uint32", "acc64": "uint64",
    "enum16": "uint16", "enum32": "uint32", "bitfield16": "uint16", "bitfield32": "uint32", "bitfield64": "uint64",
    "float32": "float32", "float64": "float64", "sunssf": "int16", "string": "string",
}
"""SunSpec's types that are numbers or texts; pad, ipaddr, ipv6addr and eui48 are neither."""
_UNITS = {
    "W": "W", "VA": "VA", "var": "var", "Var": "var", "VAr": "var", "Wh": "Wh", "WH": "Wh", "VAh": "VAh",
    "varh": "varh", "Varh": "varh", "VArh": "varh", "V": "V", "A": "A", "Ah": "Ah", "AH": "Ah", "Hz": "Hz", "C": "degC",
    "Secs": "s", "S": "s", "Pct": "%", "%": "%", "%WHRtg": "%", "VNomPct": "%", "WMaxPct": "%", "VarPct": "%", "": "1",
}
"""SunSpec's words for units and ours. Others (PF, DeptRef, % WChaMax/sec) need `unit` in the row."""


class WrongReferenceError(Exception):
    """A reference that leads nowhere: what was found and what was expected."""

    def __init__(self, got: str, expected: str) -> None:
        super().__init__(f"got {got}: expected {expected}")
        self.got, self.expected = got, expected


class ModelPoint(NamedTuple):
    """A point in its model. `offset` and `scale_offset` count registers from the ID register.

    `power` is a fixed power of ten, `unit` empty where the model's own word for it is not known here, `invalid` the
    "not available" markers, `labels` those of an enumeration. `counts` are the registers that decide where the point
    is, each with the number that was assumed of it.
    """

    model: int
    offset: int
    words: int
    type: WordType
    scale_offset: int | None
    power: int
    unit: str
    invalid: tuple[int, ...]
    labels: dict[int, str]
    writable: bool
    scale_factor: bool
    counts: tuple[tuple[int, int], ...]


@lru_cache(maxsize=64)
def definition(model: int) -> dict[str, Any] | None:
    """The top group of a model, or None where pysunspec2 does not bring it."""
    path = resources.files("sunspec2") / "models" / "json" / f"model_{model}.json"
    if not path.is_file():
        return None
    group: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["group"]
    return group


def find_point(reference: str, counts: Mapping[str, int]) -> ModelPoint:
    """The point that a reference names: `701.W`, `714.Prt[0].DCW`, `705.Crv[1].Pt[2].V`.

    `counts` tells how often a group is there where the device decides: {"705.NPt": 4}.
    Raises WrongReferenceError.
    """
    parts = _REFERENCE.fullmatch(reference)
    if parts is None:
        raise WrongReferenceError(repr(reference), "model.point, as in 701.W or 714.Prt[0].DCW")
    model = int(parts[1])
    top = definition(model)
    if top is None:
        raise WrongReferenceError(f"model {model}", "a model that pysunspec2 has; others by model, address and type")
    place = _Place(model, top, counts)
    for name, index in _GROUP.findall(parts[2]):
        place.enter(name, index)
    return place.point(parts[3])


def model_words(model: int, counts: Mapping[str, int]) -> int | None:
    """Registers of a whole model, ID and L counted; None where it is not known or the counts do not suffice."""
    top = definition(model)
    if top is None:
        return None
    try:
        return _Place(model, top, counts).size(top)
    except WrongReferenceError:
        return None


class _Place:
    """A way down from the top of a model: the group where it stands, and what it began with."""

    def __init__(self, model: int, top: dict[str, Any], counts: Mapping[str, int]) -> None:
        self._model, self._top, self._counts = model, top, counts
        self._way: list[tuple[dict[str, Any], int]] = [(top, 0)]
        self._assumed: dict[int, int] = {}

    def enter(self, name: str, index: str) -> None:
        """Go into a group; `index` is empty for one that is there once."""
        group, start = self._way[-1]
        start += _own_words(group)
        names = [inner["name"] for inner in group.get("groups", ())]
        if name not in names:
            known = ", ".join(names) or "none"
            raise WrongReferenceError(f"group {name!r}", f"a group of {group['name']} in model {self._model}: {known}")
        *before, inner = group["groups"][: names.index(name) + 1]
        start += sum(self.size(other) * self._count(other) for other in before)
        self._way.append((inner, start + self._index(inner, index) * self._instance(inner, index)))

    def _index(self, group: dict[str, Any], index: str) -> int:
        count = group.get("count", 1)
        if count == 1 and not index:
            return 0
        if not index:
            raise WrongReferenceError(f"{group['name']} without a number", f"{group['name']}[0] or a later one")
        if isinstance(count, int):
            known = count or None
        elif len(self._way) > 1:    # beyond an inner group's last lies another group: how many there are must be known
            known = self._count(group)
        else:                       # beyond the last of an outer group the model ends, which its length tells
            known = self._counts.get(f"{self._model}.{count}")
        if known is not None and int(index) >= known:
            raise WrongReferenceError(f"{group['name']}[{index}]", f"an index from 0 to {known - 1}")
        return int(index)

    def _instance(self, group: dict[str, Any], index: str) -> int:
        """Registers of one instance; not asked of the first, which lies where the group begins."""
        return self.size(group) if int(index or 0) else 0

    def size(self, group: dict[str, Any]) -> int:
        """Registers of one instance of a group."""
        inner = sum(self.size(g) * self._count(g) for g in group.get("groups", ()))
        return _own_words(group) + inner

    def _count(self, group: dict[str, Any]) -> int:
        count = group.get("count", 1)
        if isinstance(count, int) and count > 0:
            return count
        key = f"{self._model}.{count}"
        if not isinstance(count, str) or key not in self._counts:
            raise WrongReferenceError(f"no number of {group['name']} in model {self._model}",
                                      f"counts: {{{key}: …}} in the map, as the place depends on it")
        at = _points(self._top)[count][1]
        self._assumed[at] = self._counts[key]
        return self._counts[key]

    def point(self, name: str) -> ModelPoint:
        """The point of this name in the group where the way ends."""
        group, start = self._way[-1]
        points = _points(group)
        if name not in points:
            raise WrongReferenceError(f"point {name!r}", f"a point of {group['name']} in model {self._model}: "
                                      + ", ".join(points))
        found, offset = points[name]
        kind = found["type"]
        if kind not in _WORD_TYPES:
            raise WrongReferenceError(f"{name} of type {kind}", "a number or a text")
        scale, power = self._scale(found)
        enum = kind.startswith("enum")
        return ModelPoint(
            self._model, start + offset, found["size"], _WORD_TYPES[kind], scale, power,
            _UNITS.get(found.get("units", "").strip(), ""), _markers(kind),
            {s["value"]: _label(s["name"]) for s in found.get("symbols", ())} if enum else {},
            found.get("access") == "RW", kind == "sunssf", tuple(sorted(self._assumed.items())))

    def _scale(self, found: dict[str, Any]) -> tuple[int | None, int]:
        """Where the scale factor is, in this group or in one above, and a fixed power of ten."""
        factor = found.get("sf")
        if factor is None or isinstance(factor, int):
            return None, factor or 0
        for group, start in reversed(self._way):
            if factor in (points := _points(group)):
                return start + points[factor][1], 0
        raise WrongReferenceError(f"scale factor {factor}, which model {self._model} does not have",
                                  "model, address, type and scale by hand")


def _points(group: dict[str, Any]) -> dict[str, tuple[dict[str, Any], int]]:
    """The points of a group itself by name, each with its offset in the group."""
    found: dict[str, tuple[dict[str, Any], int]] = {}
    offset = 0
    for point in group.get("points", ()):
        found[point["name"]] = (point, offset)
        offset += point["size"]
    return found


def _own_words(group: dict[str, Any]) -> int:
    return sum(int(point["size"]) for point in group.get("points", ()))


def _markers(kind: str) -> tuple[int, ...]:
    """Raw numbers that mean "not available". NaN needs no marker; an empty text is told by its bytes."""
    if kind in ("float32", "float64", "string"):
        return ()
    if kind == "bitfield64":
        return (2**64 - 1,)    # not in pysunspec2's table
    marker = unimpl_value.get(kind)
    return (int(marker),) if marker is not None else ()


def _label(name: str) -> str:
    """A symbol's name as labels are written here: SOC PROTECTION becomes soc_protection."""
    return re.sub(r"\W+", "_", name.lower())
