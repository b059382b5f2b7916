"""Connections and the devices behind them."""

from msgspec import Struct


class Connection(Struct, frozen=True):
    """One road to one or more devices: a TCP connection, a session, a serial line. One request in flight.

    `driver` is the entry point's name; `settings` are the driver's own keys, checked by the driver's `Config` when
    the site was compiled. Secrets stand in it as references (`file:/...`, `credential:name`), never as values.
    """

    index: int
    id: str
    driver: str
    settings: dict[str, str | int | float | bool | None]
    min_gap_ms: int = 0
    pause_after_connect_ms: int = 0
    timeout_max_ms: int = 1000


class Device(Struct, frozen=True):
    """One device: `points` are the indices of its points, `first_point <= i < first_point + point_count`.

    `unit` is the Modbus unit id (ignored elsewhere). `max_registers`, `max_gap`, `barriers` bound the planner:
    no request spans a barrier register.
    """

    index: int
    id: str
    kind: str
    connection: int
    unit: int
    map: str
    first_point: int
    point_count: int
    max_registers: int = 125
    max_gap: int = 31
    barriers: tuple[int, ...] = ()
    vendor: str = ""
    rung: str = "drafted"
