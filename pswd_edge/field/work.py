"""What a connection is given to do: reads in a schedule, writes, and the visits of tools."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pswd_edge.errors import DeviceError
from pswd_edge.field.drivers.base import Driver, ReadRequest
from pswd_edge.field.unit import Unit
from pswd_edge.model.device import Device
from pswd_edge.model.point import Point

Tell = Callable[[str, str, str, str], None]
"""severity, code, subject, text of an event."""

Step = Callable[[Driver], Awaitable[Any]]
"""One exchange of a tool (read, probe, scan) with the driver, bounded by its own time-out."""


@dataclass(slots=True)
class Job:
    """A request in the schedule: due in every `every`-th cycle, at `phase`; `slot` is its place in the table.

    `unit` is what is known of its unit; the poller fills it in.
    """

    request: ReadRequest
    slot: int
    every: int
    phase: int
    critical: bool
    unit: Unit | None = None


class Batch(NamedTuple):
    """The jobs of one scan, in order; `critical` of them are control inputs."""

    jobs: tuple[Job, ...]
    critical: int


@dataclass(slots=True)
class Write:
    """A value on its way to a device; `done` hears None, or the error."""

    device: Device
    point: Point
    value: float
    done: Callable[[DeviceError | None], None]


@dataclass(slots=True)
class Visit:
    """A tool's turn with the driver; `answer` brings what the step returned, or its DeviceError."""

    step: Step
    answer: asyncio.Future[Any]

    def give(self, found: Any = None, *, error: DeviceError | None = None) -> None:
        """Tell the tool what came of it, where it still waits."""
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(found)
        else:
            self.answer.set_exception(error)


@dataclass(slots=True)
class Counts:
    """Since start; reads but for `silent`, which counts writes too."""

    asked: int = 0
    answered: int = 0
    silent: int = 0
    refused: int = 0
    late: int = 0
    reconnects: int = 0
    slots_missed: int = 0
