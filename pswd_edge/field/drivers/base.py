"""What a driver is: it talks to the devices behind one connection, and does nothing else.

A driver has no schedule, no retry, no log and no clock. It is found by the entry point group
`pswd_edge.drivers`; a third party brings its own class with its own `Config`.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from pydantic import BaseModel

from pswd_edge.errors import DeviceError
from pswd_edge.model.device import Device
from pswd_edge.model.point import Point
from pswd_edge.model.quality import Quality, Reason


class ReadRequest(NamedTuple):
    """One request on the wire and the points that its answer carries.

    `payload` is the driver's own (a register span, node ids, object ids), made once by `plan`.
    `size` counts what it asks for in the protocol's words (registers, nodes, object ids), for `pswd-edge plan`.
    `text` names it for logs: "holding 40070+22".
    """

    device: Device
    points: tuple[Point, ...]
    period_ms: int
    payload: Any
    size: int
    text: str


class Value(NamedTuple):
    """One value as a device gave it, before scale and offset; NaN with BAD.

    `source_utc_s` is the device's own time stamp, or None where the protocol has none.
    """

    value: float
    quality: Quality = Quality.GOOD
    reason: Reason = Reason.NONE
    source_utc_s: float | None = None


Reply = bytes | Sequence[Value]
"""Raw big-endian words as received (Modbus: decoded once a cycle, all together), or one `Value` per point."""


Heard = Callable[[bytes | DeviceError], None]
Send = Callable[[float, float, Heard], None]
"""timeout_s, now_s (monotonic), heard: sends one prepared request and returns. Never raises.

`heard` is called once, perhaps at once: with the answer as it came, or with what `read` would have raised.
"""


class Driver(Protocol):
    """One connection. Methods are never called at the same time as each other: one request in flight.

    A driver on a hot path may be a `DirectDriver` too.
    """

    Config: ClassVar[type[BaseModel]]

    def __init__(self, settings: dict[str, Any]) -> None:
        """`settings` satisfy `Config`; secret references are resolved to their values."""
        ...

    def plan(self, device: Device, points: Sequence[Point]) -> list[ReadRequest]:
        """The fewest requests that read these points of one rate class. Pure."""
        ...

    async def open(self) -> None:
        """Connect. Raises UnreachableError. Bounded by the caller's time-out: must stand being cancelled."""
        ...

    async def read(self, request: ReadRequest, timeout_s: float) -> Reply:
        """One exchange. Raises SilentError, RefusedError, DecodeError, UnreachableError (connection is gone)."""
        ...

    async def write(self, device: Device, point: Point, value: float, timeout_s: float) -> None:
        """Write `value` (the point's SI unit) and return when the device has acknowledged it.

        Raises as `read`, and WriteError where the value cannot be expressed in the point's type.
        """
        ...

    async def close(self) -> None:
        """Close the connection; does nothing where it is closed. Never raises."""
        ...


@runtime_checkable
class DirectDriver(Protocol):
    """A driver whose reads need no coroutine: `read` in two halves, with the answer's callback between."""

    def sender(self, request: ReadRequest) -> Send:
        """What sends this request on the connection that is open now; void when it is closed."""
        ...

    def take(self, request: ReadRequest, answer: bytes) -> bytes:
        """What `read` would have returned for this answer; raises RefusedError and DecodeError as it does."""
        ...
