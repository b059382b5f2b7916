"""The compiled site: immutable, the same in both processes, known by its hash."""

import hashlib
from functools import cached_property
from typing import Literal

import msgspec
from msgspec import Struct

from pswd_edge.model.circuit import Circuit
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.point import Point


class Listener(Struct, frozen=True):
    """One HTTP listener: the profiles that it serves and where. TLS paths are None on loopback only.

    `cors_origins` are the origins whose pages may ask, "https://host:port".
    With `client_ca` every client must show a certificate that it has signed, over TLS 1.3.
    """

    host: str
    port: int
    profiles: tuple[str, ...]
    tls_certificate: str | None = None
    tls_key: str | None = None
    client_ca: str | None = None
    cors_origins: tuple[str, ...] = ()


class IdentitySpec(Struct, frozen=True):
    """How long tokens hold, and which browser pages of elsewhere may open streams."""

    access_lifetime_s: int = 3600
    refresh_lifetime_s: int = 86_400
    origins: tuple[str, ...] = ()


class RateSpec(Struct, frozen=True):
    """`per_minute` requests of one client for ever; `burst` at once after a pause."""

    per_minute: float
    burst: int


class ApiLimits(Struct, frozen=True):
    """How much the gateway's clients may ask of it. A rate that is None is the documented one."""

    connections: int = 600
    connections_per_address: int = 300
    authentication: RateSpec | None = None
    workload: RateSpec | None = None
    monitoring: RateSpec | None = None
    control: RateSpec | None = None
    grid: RateSpec | None = None


class Uplink(Struct, frozen=True):
    """The MQTT broker; `password` is a secret reference. `period_ms` spaces telemetry messages."""

    host: str
    port: int
    topic_prefix: str
    client_id: str
    version: Literal["3.1.1", "5"] = "5"
    username: str | None = None
    password: str | None = None
    tls_ca: str | None = None
    period_ms: int = 1000
    queue_messages: int = 10_000


class TrapSpec(Struct, frozen=True):
    """Where SNMP traps and informs are listened for; `v2c`: those that only name a community are taken too."""

    host: str
    port: int
    v2c: bool = False


class OutsideEndpoint(Struct, frozen=True):
    """Where the gateway speaks to somebody outside: `url` without a slash at its end, `secret` a reference to a token.

    `tls_ca` is the only authority that is trusted; None: those of the machine.
    """

    url: str
    secret: str
    tls_ca: str | None = None


class HeatFacts(Struct, frozen=True):
    """What the site knows of its heat network by contract. None: not known, not shown.

    `price_per_mwh` is in `currency` (ISO 4217). `carbon_kg_per_mwh` is what others would emit for the same heat.
    """

    id: str = ""
    name: str = ""
    price_per_mwh: float | None = None
    currency: str = "EUR"
    carbon_kg_per_mwh: float | None = None


class GridFacts(Struct, frozen=True):
    """What the site knows of its grid by contract, until a live source brings it. None: not known, not shown."""

    operator_id: str = ""
    nominal_frequency_hz: float = 50.0
    carbon_intensity_g_per_kwh: float | None = None
    renewable_percent: float | None = None
    price_per_mwh: float | None = None
    nominal_voltage_v: float | None = None


class RecordingSpec(Struct, frozen=True):
    """How much of what the rules see is kept on disk: size, age, the length of one file. `on`: from the start."""

    max_mb: float = 256.0
    hours: float = 24.0
    file_s: float = 600.0
    on: bool = False


class PlannerSpec(Struct, frozen=True):
    """The look-ahead planner of the gateway. `enabled`: it plans for what is announced."""

    enabled: bool = True


class Site(Struct, frozen=True, dict=True):
    """A whole site. Lists are indexed: `points[i].index == i`, and so for devices and connections."""

    id: str
    facility_id: str
    name: str
    connections: tuple[Connection, ...]
    devices: tuple[Device, ...]
    points: tuple[Point, ...]
    circuits: tuple[Circuit, ...]
    control: ControlSpec
    listeners: tuple[Listener, ...] = ()
    uplink: Uplink | None = None
    snmp_traps: TrapSpec | None = None
    grid: GridFacts = GridFacts()
    state_dir: str = "var"
    runtime_dir: str = "var/run"
    recording: RecordingSpec = RecordingSpec()
    planner: PlannerSpec = PlannerSpec()
    api_limits: ApiLimits = ApiLimits()
    identity: IdentitySpec = IdentitySpec()
    grid_endpoint: OutsideEndpoint | None = None
    heat_endpoint: OutsideEndpoint | None = None
    heat_network: HeatFacts = HeatFacts()

    @cached_property
    def point_index(self) -> dict[str, int]:
        """Point id to index."""
        return {p.id: p.index for p in self.points}

    @cached_property
    def device_index(self) -> dict[str, int]:
        """Device id to index."""
        return {d.id: d.index for d in self.devices}

    @cached_property
    def trend_points(self) -> tuple[int, ...]:
        """Indices of the points that the ring keeps for an hour, in order."""
        return tuple(p.index for p in self.points if p.trend)

    def find(self, device: str, signal: str) -> int | None:
        """The index of a device's point by its signal, or None."""
        return self.point_index.get(f"{device}.{signal}")

    def devices_of(self, *kinds: str) -> tuple[Device, ...]:
        """The devices of these kinds, in the order of the site file."""
        return tuple(d for d in self.devices if d.kind in kinds)


def encode_site(site: Site) -> bytes:
    """The site as bytes (MessagePack), as they lie in `site-<hash>.bin`."""
    return msgspec.msgpack.encode(site)


def decode_site(data: bytes) -> Site:
    """The inverse of `encode_site`; raises msgspec.ValidationError where the bytes are no site."""
    return msgspec.msgpack.decode(data, type=Site)


def site_hash(data: bytes) -> str:
    """32 hex digits that name the encoded site."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
