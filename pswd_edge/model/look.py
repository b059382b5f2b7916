"""What an engineer's tools may ask of control: look at a device through the session that control has with it.

Looks change nothing, are never written to the ledger, and are taken at the operator's socket only. With the requests
of `model.command` these structs are the door's wire format (MessagePack).
"""

from msgspec import Struct

from pswd_edge.model.command import Answer, Envelope, Outcome, Request
from pswd_edge.model.point import ModbusAddress, OpcUaAddress, SnmpAddress

POINTS_MAX = 64               # of one look: their answer fits the door's frame, whatever went wrong with each
ERROR_MAX = 300               # characters
REGISTERS_MAX = 125           # of one look at raw registers, as of one Modbus request
LOOK_S = 2.0                  # a look takes no longer, however many requests it needs


class ReadPoints(Envelope, frozen=True, kw_only=True, tag=True):
    """Read these points (by id) now, with requests of their own between those of the cycle."""

    points: tuple[str, ...]


class ReadRaw(Envelope, frozen=True, kw_only=True, tag=True):
    """What lies at an address of a device, whether its map knows it or not.

    `count` registers from a Modbus address of one of the word types; 1 in other protocols.
    """

    device: str
    address: ModbusAddress | OpcUaAddress | SnmpAddress
    count: int = 1


Look = ReadPoints | ReadRaw


class FreshReading(Struct, frozen=True):
    """One point as it was answered just now.

    `value` is in the point's SI unit, None where `quality` (a name of model.quality.Quality) is "BAD"; `reason` is the
    name of a Reason, `error` what the device or its connection said. `raw` holds the point's own registers in hex,
    empty where the protocol has none. `request` names the request on the wire.
    """

    point: str
    value: float | None
    quality: str
    reason: str
    source_utc_s: float | None
    request: str
    raw: str
    round_trip_ms: float
    error: str = ""


class Exchange(Struct, frozen=True):
    """One request at an address and what came back: registers (`raw`, hex), or `value` with its quality, or `error`.

    `start` is the first register of `raw`. `value` is as the device sent it, without scale. `problem` is the class of
    the error ("RefusedError", "SilentError", …).
    """

    request: str
    round_trip_ms: float
    start: int = 0
    raw: str = ""
    value: float | None = None
    quality: str = ""
    reason: str = ""
    source_utc_s: float | None = None
    error: str = ""
    problem: str = ""


class Looked(Answer, frozen=True, kw_only=True, tag=True):
    """What was found: `readings` for ReadPoints in the order asked, `exchanges` for ReadRaw."""

    readings: tuple[FreshReading, ...] = ()
    exchanges: tuple[Exchange, ...] = ()


def looked_at(look: Look) -> str:
    """What a look reads, in a few words, for the journal."""
    if isinstance(look, ReadPoints):
        return f"{look.points[0]} and {len(look.points) - 1} more" if look.points[1:] else ", ".join(look.points)
    match look.address:
        case ModbusAddress(register=register, kind=kind):
            return f"{look.device} {kind} {register}+{look.count}"
        case OpcUaAddress(node=text) | SnmpAddress(oid=text):
            return f"{look.device} {text}"


DoorRequest = Request | Look
DoorAnswer = Outcome | Looked
