"""A site as it stands in its YAML file."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from pswd_edge.config.control_form import ControlForm
from pswd_edge.config.form import Form, Id, Number, Text, Whole
from pswd_edge.config.map_form import Every

Port = Annotated[Whole, Field(ge=1, le=65535)]
Origin = Annotated[Text, Field(pattern=r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$|^https?://\[[0-9a-f:]+\](:[0-9]{1,5})?$")]
ProfileName = Literal["pswd", "dcpi", "edge"]


class NameForm(Form):
    """Who the site is."""

    id: Id
    facility_id: Id
    name: Text


class ConnectionForm(Form):
    """One road to devices. Every key beyond these is the driver's own and checked by the driver's `Config`."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    driver: Text
    min_gap_ms: Annotated[Whole, Field(ge=0, le=10_000)] = Field(0, description="pause between two requests")
    pause_after_connect_ms: Annotated[Whole, Field(ge=0, le=60_000)] = 0
    timeout_max_ms: Annotated[Whole, Field(ge=10, le=60_000)] = 1000


class DeviceForm(Form):
    """One device: its map, its connection, and the points whose past the image keeps (`trend`).

    `rating_w` is its nameplate power, where its map has powers in % of it.
    """

    map: Text
    connection: Text
    unit: Annotated[Whole, Field(ge=0, le=255)] = 1
    trend: tuple[Text, ...] = ()
    every: Every = Field("cycle", description="no point of it is read more often, whatever its map says")
    rating_w: Annotated[Number, Field(gt=0)] | None = None


class CircuitForm(Form):
    """A branch; `meter` is a device, `parent` a circuit. The one without parent is the grid connection.

    `sums`: what hangs on it in this file is all that it feeds, so that the sum stands in for a meter.
    `feeds`: what all of its power is for.
    """

    parent: Text | None = None
    rating_w: Annotated[Number, Field(gt=0)]
    meter: Text | None = None
    name: str = ""
    sums: bool = False
    feeds: Literal["compute", "cooling"] | None = None
    max_age_ms: Annotated[Whole, Field(gt=0)] = 2000
    latency_ms: Annotated[Number, Field(ge=0)] = 0.0


class EndpointForm(Form):
    """Somebody outside that the gateway speaks to over HTTP. Beyond loopback by https only; `secret` is a reference."""

    url: Annotated[Text, Field(max_length=500)]
    secret: Text
    tls_ca: Text | None = None


class HeatNetworkForm(Form):
    """The heat network that takes the site's heat, and what it pays by contract."""

    id: Annotated[str, Field(max_length=128)] = ""
    name: Annotated[str, Field(max_length=200)] = ""
    price_per_mwh: Number | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    carbon_kg_per_mwh: Annotated[Number, Field(ge=0)] | None = None
    endpoint: EndpointForm | None = None


class GridForm(Form):
    """What is known of the grid by contract, and where its operator is reached."""

    operator_id: str = ""
    nominal_frequency_hz: Annotated[Number, Field(ge=15, le=400)] = 50.0
    carbon_intensity_g_per_kwh: Annotated[Number, Field(ge=0)] | None = None
    renewable_percent: Annotated[Number, Field(ge=0, le=100)] | None = None
    price_per_mwh: Number | None = None
    nominal_voltage_v: Annotated[Number, Field(gt=0, le=1e6)] | None = None
    endpoint: EndpointForm | None = None


class ListenerForm(Form):
    """One HTTP listener. Beyond loopback it needs TLS; for `dcpi` also client certificates, and no other profile."""

    host: Text = "127.0.0.1"
    port: Port
    profiles: tuple[ProfileName, ...] = Field(min_length=1)
    tls_certificate: Text | None = None
    tls_key: Text | None = None
    cors_origins: tuple[Origin, ...] = ()
    client_ca: Text | None = None


class RateForm(Form):
    """How often one client may ask."""

    per_minute: Annotated[Number, Field(gt=0, le=1_000_000)]
    burst: Annotated[Whole, Field(ge=1, le=1_000_000)]


class ApiLimitsForm(Form):
    """What the gateway's clients may ask of it; rates that are left out are the documented ones."""

    connections: Annotated[Whole, Field(ge=1, le=100_000)] = 600
    connections_per_address: Annotated[Whole, Field(ge=1, le=100_000)] = 300
    authentication: RateForm | None = None
    workload: RateForm | None = None
    monitoring: RateForm | None = None
    control: RateForm | None = None
    grid: RateForm | None = None


class UplinkForm(Form):
    """The MQTT broker. Beyond loopback it needs `tls_ca`; `password` is a reference."""

    host: Text
    port: Port
    topic_prefix: Text
    client_id: Text
    version: Literal["3.1.1", "5"] = "5"
    username: Text | None = None
    password: Text | None = None
    tls_ca: Text | None = None
    period_ms: Annotated[Whole, Field(ge=100)] = 1000
    queue_messages: Annotated[Whole, Field(ge=1)] = 10_000


class TrapsForm(Form):
    """Where SNMP traps and informs are listened for, with the credentials of the connection that they come from."""

    host: Text
    port: Port = 10162
    v2c: bool = Field(False, description="take traps that prove nothing but a community, from connections of v2c")


class RecordingForm(Form):
    """What the rules see, recorded from the start; its presence switches it on."""

    max_mb: Annotated[Number, Field(ge=4, le=1_000_000)] = 256.0
    hours: Annotated[Number, Field(gt=0)] = 24.0
    file_s: Annotated[Number, Field(ge=10, le=86_400)] = 600.0


class PlannerForm(Form):
    """The look-ahead planner of the gateway."""

    enabled: bool = True


class IdentityForm(Form):
    """How long tokens hold, and who else may open streams."""

    access_lifetime_s: Annotated[Whole, Field(ge=60, le=3600)] = 3600
    refresh_lifetime_s: Annotated[Whole, Field(ge=3600, le=2_592_000)] = 86_400
    origins: tuple[Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+(:[0-9]{1,5})?$")], ...] = ()


class SiteFile(Form):
    """The whole file."""

    site: NameForm
    state_dir: Text = "var/state"
    runtime_dir: Text = "var/run"
    maps_dir: Text | None = Field(None, description="a folder with further device maps, searched last")
    grid: GridForm = GridForm()
    heat_network: HeatNetworkForm = HeatNetworkForm()
    connections: dict[Id, ConnectionForm] = Field(min_length=1)
    devices: dict[Id, DeviceForm] = Field(min_length=1)
    circuits: dict[Id, CircuitForm] = Field(min_length=1)
    control: ControlForm
    listeners: tuple[ListenerForm, ...] = ()
    uplink: UplinkForm | None = None
    snmp_traps: TrapsForm | None = None
    recording: RecordingForm | None = None
    planner: PlannerForm = PlannerForm()
    api_limits: ApiLimitsForm = ApiLimitsForm()
    identity: IdentityForm = IdentityForm()
