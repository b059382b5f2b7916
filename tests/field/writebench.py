"""An actuator on a poller that the test plays: one point or two, a read-back, a meter, and a clock."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from pswd_edge.errors import DeviceError, RefusedError, SilentError
from pswd_edge.field import actuator
from pswd_edge.field.actuator import Actuator
from pswd_edge.field.slot import Slot
from pswd_edge.field.table import Table
from pswd_edge.field.work import Write
from pswd_edge.model.point import WriteRule
from tests.field.fieldmaker import Told, modbus_device, modbus_point, request_of

REFUSED = RefusedError("exception code 3", 3)
SILENT = SilentError("no answer in time")


@dataclass
class Wire:
    """A poller that keeps what it is given; the test answers."""

    sessions: int = 1
    writes: list[Write] = field(default_factory=list)

    def submit(self, write: Write) -> None:
        self.writes.append(write)


class Bench:
    """An actuated point (0), what reads it back (1), its meter (2), a second actuated point (3), and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, type_: str = "int16", *, second: dict[str, Any] | None = None,
                 **rule: Any) -> None:
        self.now_s = 1000.0
        self.cycle = 0
        rules = {"minimum": -100.0, "maximum": 100.0, "read_back": 1, "tolerance": 0.5} | rule
        other = {"minimum": -100.0, "maximum": 100.0} | (second or {})
        points = [modbus_point(0, type_, write=WriteRule(**rules)), modbus_point(1, "int16", index=1),
                  modbus_point(200, "int16", index=2), modbus_point(300, "int16", index=3, write=WriteRule(**other))]
        self.table = Table(points, request_of(points[1:2]) + request_of(points[2:3]))
        self._groups = [self.table.group([0]), self.table.group([1])]
        self.told, self.wire = Told(), Wire()
        self.field = Actuator({i: points[i] for i in (0, 3)}, (modbus_device(),), {0: self.wire}, self.table, self.told)  # type: ignore[dict-item]
        monkeypatch.setattr(actuator.time, "monotonic", lambda: self.now_s)

    @property
    def slot(self) -> Slot:
        return self.field.slots[0]

    @property
    def sent(self) -> list[float]:
        return [w.value for w in self.wire.writes]

    @property
    def acknowledged(self) -> int:
        return self.field.acknowledged_cycle(self.cycle)

    def want(self, value: float | None, after_s: float = 0.1, second: float | None = None) -> None:
        self.now_s += after_s
        self.cycle += 1
        both: list[tuple[int, float | None]] = [] if second is None else [(3, second)]
        self.field.apply([*both, (0, value)], self.cycle, self.now_s)

    def answer(self, error: DeviceError | None = None) -> None:
        self.wire.writes[-1].done(error)

    def show(self, value: int, after_s: float = 0.1, slot: int = 0) -> None:
        """The device is read, and shows this; `slot` 1 is its meter."""
        self.now_s += after_s
        self.table.put_raw(slot, value.to_bytes(2, "big", signed=True), self.now_s)
        self.table.settle(self._groups[slot], self.now_s)
        self.field.observe()

    def meter(self, value: int, after_s: float = 0.1) -> None:
        """The meter is read, and shows this."""
        self.show(value, after_s, slot=1)
