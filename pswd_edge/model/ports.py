"""What control needs of the field, as a Protocol: the two never import each other; app.py joins them."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pswd_edge.model.report import FieldReport
from pswd_edge.model.snapshot import Reading, Snapshot


class SlotState(NamedTuple):
    """How far a set-point is: the fields of the same names in SetpointReport."""

    state: str
    written: float | None
    waiting_since: int | None = None
    took_ms: float | None = None


class Columns(NamedTuple):
    """Every point's latest, indexed by point; the field's own arrays: read them, never write them."""

    value: NDArray[np.float64]
    source_utc_s: NDArray[np.float64]
    received_s: NDArray[np.float64]
    quality: NDArray[np.uint8]
    reason: NDArray[np.uint8]


class FieldPort(Protocol):
    """One cycle is: begin, inputs, latch, apply, begin_slow, settle_rest. Only `inputs` waits, and it is bounded."""

    def begin(self) -> None:
        """Start the reads of this cycle."""
        ...

    async def inputs(self, deadline_s: float) -> None:
        """Return when the control inputs have answered, at the latest after `deadline_s`."""
        ...

    def latch(self, cycle: int, now_s: float, utc_s: float) -> Snapshot:
        """Freeze what the rules will see."""
        ...

    def apply(self, wanted: Iterable[tuple[int, float | None]], cycle: int, now_s: float) -> None:
        """Send set-points by point index; None lets go."""
        ...

    def begin_slow(self, cycle: int) -> None:
        """Start the reads of slower classes that are due."""
        ...

    def settle_rest(self, now_s: float) -> None:
        """Bring every other point up to date."""
        ...

    def columns(self) -> Columns:
        """Every point's latest."""
        ...

    def reading(self, point: int, now_s: float) -> Reading:
        """One point's latest."""
        ...

    def slot(self, point: int) -> SlotState:
        """How far a set-point is."""
        ...

    def clear(self, point: int, who: str) -> bool:
        """Let a latched select-before-operate be tried again; False where none is latched."""
        ...

    def rehearse(self, point: int, done: Callable[[str], None]) -> None:
        """Select without operating; `done` hears why that failed, or an empty text."""
        ...

    def acknowledged_cycle(self, cycle: int) -> int:
        """The cycle up to which all set-points are acknowledged."""
        ...

    def report(self, utc_s: float) -> FieldReport:
        """Health of all connections."""
        ...
