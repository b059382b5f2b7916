"""The objects of one SNMP agent: its points by OID, in the order of a walk.

Source: RFC 3416, 4.2 (GetRequest, GetNextRequest, SetRequest: exceptions and error status).
"""

import math
from bisect import bisect_right
from typing import Any

from pysnmp.proto import rfc1902, rfc1905
from pysnmp.smi import error
from pysnmp.smi.instrum import AbstractMibInstrumController

from pswd_edge.model.point import Point, SnmpAddress
from simulators.servers.coding import Coder
from simulators.servers.face import Face

Oid = tuple[int, ...]
_TYPES: dict[str, type[Any]] = {
    "Integer32": rfc1902.Integer32, "Integer": rfc1902.Integer32, "Gauge32": rfc1902.Gauge32,
    "Unsigned32": rfc1902.Unsigned32, "Counter32": rfc1902.Counter32, "Counter64": rfc1902.Counter64,
    "TimeTicks": rfc1902.TimeTicks,
}

_V2C, _USM = 2, 3
_AUTH_PRIV = 3


class _Object:
    """One point as an object; `value` is None where there is no such instance now."""

    def __init__(self, face: Face, point: Point, address: SnmpAddress) -> None:
        self.point = point
        self.coder = Coder(point, face.device.kind)
        self.type = _TYPES[address.type]
        self.value: Any = None
        self._face = face

    def refresh(self) -> None:
        """Take the face's value."""
        faults, point = self._face.faults, self.point
        value = self._face.values.get(point.signal, math.nan)
        if point.write is None and faults.nan:
            self.value = None
        elif point.write is None and faults.sentinel:
            self.value = self.type(int(point.invalid[0])) if point.invalid else None
        elif not math.isnan(value):
            self.value = self.type(round(self.coder.raw(value)))
        elif point.write is None:
            self.value = None
        elif self.value is None:
            self.value = self.type(0)

    def set(self, value: Any, index: int) -> None:
        """Hand a manager's value to the plant; raises the SMI error that the manager gets."""
        if self.point.write is None:
            raise error.NotWritableError(idx=index)
        if not value.isSameTypeWith(self.type(), matchConstraints=False):
            raise error.WrongTypeError(idx=index)
        try:
            self._face.write(self.point, self.coder.value(int(value)))
        except ValueError:
            raise error.WrongValueError(idx=index) from None
        self.value = self.type(int(value))


class Objects(AbstractMibInstrumController):  # type: ignore[misc]  # pysnmp has no types
    """What pysnmp's command responders ask. Commands that can only be written read back as last written, else 0."""

    def __init__(self, face: Face) -> None:
        self._faults = face.faults
        points = [(p, p.address) for p in face.points if isinstance(p.address, SnmpAddress)]
        self._objects = {parse_oid(address.oid): _Object(face, p, address) for p, address in points}
        self._order = sorted(self._objects)
        self._columns = {oid[:-1] for oid in self._order}
        self.refresh()

    def refresh(self) -> None:
        """Take the face's values."""
        for item in self._objects.values():
            item.refresh()

    def read_variables(self, *varBinds: Any, **context: Any) -> list[Any]:  # noqa: N803 - pysnmp's name
        """GET."""
        self._check_access(write=False, engine=context["snmpEngine"])
        return [(name, self._value(tuple(name))) for name, _ in varBinds]

    def read_next_variables(self, *varBinds: Any, **context: Any) -> list[Any]:  # noqa: N803 - pysnmp's name
        """GETNEXT, and each step of GETBULK."""
        self._check_access(write=False, engine=context["snmpEngine"])
        return [self._next(name) for name, _ in varBinds]

    def write_variables(self, *varBinds: Any, **context: Any) -> list[Any]:  # noqa: N803 - pysnmp's name
        """SET, in order; those before a refused one are written by then."""
        self._check_access(write=True, engine=context["snmpEngine"])
        for index, (name, value) in enumerate(varBinds):
            item = self._objects.get(tuple(name))
            if item is None:
                raise error.NotWritableError(idx=index)
            item.set(value, index)
        return list(varBinds)

    def _check_access(self, *, write: bool, engine: Any) -> None:
        """v2c may read, v3 with authPriv may read and write, nothing else may do anything.

        Our own few lines instead of pysnmp's VACM: set up without a write view for the community, that of 7.1.30
        still let a SET pass when it was tried here.
        """
        if self._faults.exception:
            raise error.GenError(idx=0)
        request = engine.observer.get_execution_context("rfc3412.receiveMessage:request")
        model, level = int(request["securityModel"]), int(request["securityLevel"])
        if model == _USM and level == _AUTH_PRIV:
            return
        if model != _V2C:
            raise error.AuthorizationError(idx=0)
        if write:
            raise error.NoAccessError(idx=0)

    def _value(self, oid: Oid) -> Any:
        item = self._objects.get(oid)
        if item is None:
            return rfc1905.noSuchInstance if oid[:-1] in self._columns else rfc1905.noSuchObject
        return rfc1905.noSuchInstance if item.value is None else item.value

    def _next(self, name: Any) -> tuple[Any, Any]:
        for oid in self._order[bisect_right(self._order, tuple(name)) :]:
            value = self._objects[oid].value
            if value is not None:
                return rfc1902.ObjectName(oid), value
        return name, rfc1905.endOfMibView


def parse_oid(text: str) -> Oid:
    """Dotted digits to numbers."""
    return tuple(int(part) for part in text.strip(".").split("."))
