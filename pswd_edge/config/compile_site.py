"""Site form and maps to the compiled site. Called only where the checks found no mistake."""

from collections.abc import Mapping

from pswd_edge.config.compile_control import DEFAULT_REVERT_S, compile_control
from pswd_edge.config.control_form import ControlForm
from pswd_edge.config.map_form import MapFile, ModbusMap
from pswd_edge.config.points import PointContext, compile_points, period_ms, with_effect
from pswd_edge.config.site_form import ApiLimitsForm, ConnectionForm, DeviceForm, EndpointForm, RateForm, SiteFile
from pswd_edge.model.circuit import Circuit
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.point import Point
from pswd_edge.model.site import (
    ApiLimits,
    GridFacts,
    HeatFacts,
    IdentitySpec,
    Listener,
    OutsideEndpoint,
    PlannerSpec,
    RateSpec,
    RecordingSpec,
    Site,
    TrapSpec,
    Uplink,
)


def compile_form(form: SiteFile, maps: Mapping[str, MapFile]) -> Site:
    """The compiled site; `maps` by name."""
    connections = {
        id_: _connection(index, id_, connection) for index, (id_, connection) in enumerate(form.connections.items())
    }
    devices: list[Device] = []
    points: list[Point] = []
    for id_, device in form.devices.items():
        device_map = maps[device.map]
        context = _context(id_, device, len(devices), len(points), form.control)
        made = compile_points(device_map, context)
        devices.append(_device(device, device_map, connections[device.connection].index, context, len(made)))
        points.extend(made)
    by_id = {point.id: point for point in points}
    for id_, effect in form.control.effects.items():
        points[by_id[id_].index] = by_id[id_] = with_effect(by_id[id_], by_id[effect.point], effect)
    return Site(
        id=form.site.id,
        facility_id=form.site.facility_id,
        name=form.site.name,
        connections=tuple(connections.values()),
        devices=tuple(devices),
        points=tuple(points),
        circuits=_circuits(form, by_id),
        control=compile_control(form.control, by_id, {device.id: device.index for device in devices},
                                form.grid.nominal_frequency_hz, form.circuits),
        listeners=tuple(Listener(**dict(listener)) for listener in form.listeners),
        uplink=None if form.uplink is None else Uplink(**dict(form.uplink)),
        snmp_traps=None if form.snmp_traps is None else TrapSpec(**dict(form.snmp_traps)),
        grid=GridFacts(**{key: value for key, value in form.grid if key != "endpoint"}),
        grid_endpoint=_endpoint(form.grid.endpoint),
        heat_endpoint=_endpoint(form.heat_network.endpoint),
        heat_network=HeatFacts(**{key: value for key, value in form.heat_network if key != "endpoint"}),
        state_dir=form.state_dir,
        runtime_dir=form.runtime_dir,
        planner=PlannerSpec(**dict(form.planner)),
        api_limits=_api_limits(form.api_limits),
        identity=IdentitySpec(**dict(form.identity)),
        recording=RecordingSpec() if form.recording is None else RecordingSpec(**dict(form.recording), on=True),
    )


def _api_limits(form: ApiLimitsForm) -> ApiLimits:
    rates = {name: RateSpec(rate.per_minute, rate.burst) for name, rate in dict(form).items()
             if isinstance(rate, RateForm)}
    return ApiLimits(form.connections, form.connections_per_address, **rates)


def _endpoint(form: EndpointForm | None) -> OutsideEndpoint | None:
    return None if form is None else OutsideEndpoint(form.url.rstrip("/"), form.secret, form.tls_ca)


def _connection(index: int, id_: str, form: ConnectionForm) -> Connection:
    return Connection(
        index=index,
        id=id_,
        driver=form.driver,
        settings=dict(form.model_extra or {}),
        min_gap_ms=form.min_gap_ms,
        pause_after_connect_ms=form.pause_after_connect_ms,
        timeout_max_ms=form.timeout_max_ms,
    )


def _context(id_: str, device: DeviceForm, index: int, first_point: int, control: ControlForm) -> PointContext:
    battery, controller = control.batteries.get(id_), control.load_controllers.get(id_)
    revert_s = None
    if battery is not None:
        revert_s = DEFAULT_REVERT_S if battery.revert_s is None else battery.revert_s
    return PointContext(
        device=id_,
        device_index=index,
        first_point=first_point,
        period_ms=control.period_ms,
        trend=frozenset(device.trend),
        every_ms=period_ms(device.every, control.period_ms),
        revert_s=revert_s,
        rating_w=device.rating_w,
        range_w=max(battery.charge_w, battery.discharge_w) if battery else controller.rating_w if controller else None,
    )


def _device(
    device: DeviceForm, form: MapFile, connection: int, context: PointContext, point_count: int
) -> Device:
    return Device(
        index=context.device_index,
        id=context.device,
        kind=form.kind,
        connection=connection,
        unit=device.unit,
        map=form.map,
        first_point=context.first_point,
        point_count=point_count,
        max_registers=form.max_registers if isinstance(form, ModbusMap) else 125,
        max_gap=form.max_gap if isinstance(form, ModbusMap) else 31,
        barriers=form.barriers if isinstance(form, ModbusMap) else (),
        vendor=form.vendor,
        rung=form.rung,
    )


def _circuits(form: SiteFile, points: Mapping[str, Point]) -> tuple[Circuit, ...]:
    return tuple(
        Circuit(
            id=id_,
            parent=circuit.parent,
            rating_w=circuit.rating_w,
            meter=points[f"{circuit.meter}.active_power_w"].index if circuit.meter else None,
            name=circuit.name or id_,
            feeds=circuit.feeds,
        )
        for id_, circuit in form.circuits.items()
    )
