"""What one device shows to its clients: the plant's signals at its last refresh."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pswd_edge.model.device import Device
from pswd_edge.model.point import Point
from simulators.faults import DeviceFaults, Faults
from simulators.servers.memory import Memory


class PlantPort(Protocol):
    """What a server needs of the plant; every value in the SI unit of its signal."""

    @property
    def time_s(self) -> float:
        """Plant time."""
        ...

    def signals(self, device_id: str) -> Mapping[str, float]:
        """What the device would show now; a signal that it cannot measure is absent or NaN."""
        ...

    def write(self, device_id: str, signal: str, value: float) -> None:
        """Take a set-point or command; raises ValueError where the device refuses the value."""
        ...


Arrival = Callable[[str, str, float], None]


class Face:
    """One device as its clients see it.

    `values` are SI and stand still between refreshes, as in a meter that averages over `refresh_s`.
    `arrival` is told (device id, signal, SI value) of every write that the plant took.
    """

    def __init__(
        self,
        device: Device,
        points: Sequence[Point],
        plant: PlantPort,
        faults: Faults,
        *,
        refresh_s: float = 0.01,
        arrival: Arrival | None = None,
    ) -> None:
        self.device = device
        self.points = tuple(points)
        self.all_faults = faults
        self.faults: DeviceFaults = faults.of(device.id)
        self.refresh_s = refresh_s
        self._plant = plant
        self._memory = Memory(device.kind, points, plant.signals(device.id).keys())
        self.values: dict[str, float] = self._look()
        self._arrival = arrival
        self._reboots = 0
        simulated = plant.signals(device.id)
        self._defaults = {p.signal: simulated[p.signal] for p in points if p.write and p.signal in simulated}

    def refresh(self) -> None:
        """Take the plant's signals, unless frozen; notice a reboot first."""
        if self.faults.reboots != self._reboots:
            self._reboots = self.faults.reboots
            self._reset()
        if not self.faults.freeze:
            self.values = self._look()

    def write(self, point: Point, value: float) -> None:
        """Hand a client's value (SI) to the plant. Raises ValueError where it is not finite or the plant refuses."""
        if not math.isfinite(value):
            raise ValueError(f"{point.id}: got {value}, expected a finite number; not taken")
        if self._memory.keeps(point.signal):
            self._memory.store(point.signal, value)
        else:
            self._plant.write(self.device.id, point.signal, value)
        self.values[point.signal] = value    # read back at once, also while frozen
        if point.signal == "power_setpoint_w":
            self._memory.note_setpoint(self._plant.time_s)
        if self._arrival is not None:
            self._arrival(self.device.id, point.signal, value)

    def _look(self) -> dict[str, float]:
        simulated = self._plant.signals(self.device.id)
        return {**self._memory.values(self._plant.time_s, simulated), **simulated}

    def _reset(self) -> None:
        """Set-points as they were at start: what a device without a battery-backed memory does."""
        self._memory.forget()
        for signal, value in self._defaults.items():
            if math.isfinite(value):
                self._plant.write(self.device.id, signal, value)
