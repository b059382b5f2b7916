"""How long the scans of a connection take, computed: when all is well, with a dead unit, when all are slow. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.fresh import span_of
from pswd_edge.field.health import Latency
from pswd_edge.model.device import Connection
from pswd_edge.model.site import Site

_CHARACTER_BITS = 11          # on a serial line: start, eight bits, parity or a second stop bit, stop
_SILENCE_CHARACTERS = 3.5     # before and after each frame, Modbus over Serial Line V1.02, 2.5.1.1
_SILENCE_MIN_S = 0.00175      # above 19,200 baud
_RTU = ("serial", "rtu_over_tcp")


class Measured(NamedTuple):
    """Round trips and scans of the cycle's own class on a connection, ms: median and p99; 0.0 where there is no scan.

    `trips` is how many round trips there were.
    """

    trip_p50_ms: float
    trip_p99_ms: float
    scan_p50_ms: float
    scan_p99_ms: float
    trips: int = 0


class Load(NamedTuple):
    """What one connection is asked by one rate class, and how long a scan in which it is due takes.

    `requests`, `points` and `size_bytes` are the class' own; a scan of it holds those of the faster classes too.
    `size_bytes` counts requests and answers on the wire, None where the protocol does not say. `dead_ms`: one unit
    is silent. `slow_ms`: every answer comes just within its time-out. `trip_max_ms` is the round trip that just fits.
    """

    connection: str
    period_ms: int
    requests: int
    points: int
    scan_ms: float
    size_bytes: int | None = None
    dead_ms: float = 0.0
    slow_ms: float = 0.0
    trip_max_ms: float = 0.0
    fastest: bool = False
    measured: Measured | None = None

    @property
    def slack_ms(self) -> float:
        """Time left of the period; negative: the rate cannot be made."""
        return self.period_ms - self.scan_ms

    @property
    def ratio(self) -> float | None:
        """Measured p99 over the computed scan."""
        if self.measured is None or not self.fastest or not self.scan_ms or not self.measured.scan_p99_ms:
            return None
        return self.measured.scan_p99_ms / self.scan_ms

    @property
    def makes_its_rate(self) -> bool:
        """Computed and, where it was measured, in truth."""
        measured_ms = self.measured.scan_p99_ms if self.measured is not None and self.fastest else 0.0
        return self.slack_ms >= 0 and measured_ms <= self.period_ms


def loads_of(site: Site, requests: Sequence[ReadRequest], round_trip_ms: float,
             measured: Mapping[str, Measured] | None = None) -> list[Load]:
    """One line for each connection and rate class. A slower class shares its cycle with every faster one."""
    loads = []
    for connection in site.connections:
        mine = [r for r in requests if r.device.connection == connection.index]
        periods = sorted({r.period_ms for r in mine})
        for period_ms in periods:
            due = [r for r in mine if r.period_ms <= period_ms]
            own = [r for r in mine if r.period_ms == period_ms]
            loads.append(_load(connection, period_ms, due, own, round_trip_ms)._replace(
                fastest=period_ms == periods[0], measured=(measured or {}).get(connection.id)))
    return loads


def _load(connection: Connection, period_ms: int, due: Sequence[ReadRequest], own: Sequence[ReadRequest],
          round_trip_ms: float) -> Load:
    gap_ms = connection.min_gap_ms
    wires = [wire_ms(connection, r) for r in due]
    healthy_ms = sum(round_trip_ms + gap_ms + w for w in wires)
    latency = Latency(connection.timeout_max_ms / 1000)
    latency.add((round_trip_ms + max(wires, default=0.0)) / 1000)
    timeout_ms = 1000 * latency.timeout_s
    dead_ms = max((timeout_ms + gap_ms + sum(round_trip_ms + gap_ms + w for r, w in zip(due, wires, strict=True)
                                             if r.device.unit != unit)) for unit in {r.device.unit for r in due})
    sizes = [size_bytes(connection, r) for r in own]
    return Load(
        connection.id, period_ms, len(own), sum(len(r.points) for r in own), healthy_ms,
        None if None in sizes else sum(s for s in sizes if s is not None), dead_ms, len(due) * (timeout_ms + gap_ms),
        (period_ms - sum(wires)) / len(due) - gap_ms)


def size_bytes(connection: Connection, request: ReadRequest) -> int | None:
    """Bytes of a request and its answer, None where they are not known before."""
    span = span_of(request)
    if span is None:
        return None
    content = (span.length + 7) // 8 if span.kind in ("coil", "discrete") else 2 * span.length
    rtu = connection.settings.get("transport") in _RTU
    return 8 + 5 + content if rtu else 12 + 9 + content


def wire_ms(connection: Connection, request: ReadRequest) -> float:
    """Time on a serial line: bytes x 11 bits / baud, and the silence around both frames; 0 on a network."""
    size = size_bytes(connection, request)
    if connection.settings.get("transport") != "serial" or size is None:
        return 0.0
    baud = int(connection.settings.get("baud") or 19_200)
    character_s = _CHARACTER_BITS / baud
    silence_s = _SILENCE_CHARACTERS * character_s if baud <= 19_200 else _SILENCE_MIN_S
    return 1000 * (size * character_s + 2 * silence_s)
