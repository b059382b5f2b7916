"""Who may do what. Deny by default: what is not in a table is refused."""

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """The roles that a user or an API key can be granted; a token carries one of them."""

    WORKLOAD_OPERATOR = "workload_operator"
    INFRASTRUCTURE_MANAGER = "infrastructure_manager"
    GRID_OPERATOR = "grid_operator"
    MUNICIPAL_UTILITY = "municipal_utility"


class Operation(StrEnum):
    """What the services can be asked, whatever the profile calls it."""

    POWER_READ = "read power"
    POWER_FORECAST_READ = "read the power forecast"
    POWER_CONTROL = "control power"
    BATTERY_READ = "read battery status"
    BATTERY_CONTROL = "control batteries"
    THERMAL_READ = "read thermal status"
    THERMAL_CONTROL = "control cooling"
    GRID_READ = "read grid status"
    GRID_SIGNAL = "send signals to the grid operator"
    GRID_FORECAST_SUBMIT = "submit load forecasts to the grid operator"
    GRID_RESPOND = "answer demand response requests"
    HEAT_READ = "read heat delivery"
    HEAT_CONTROL = "control heat delivery"
    HEAT_OFFER = "offer heat to the heat network"
    WORKLOAD_ANNOUNCE = "announce workloads"
    WORKLOAD_CONTROL = "control workloads"
    WORKLOAD_READ = "read workload status"
    HEALTH_READ = "read system health"
    METRICS_READ = "read system metrics"
    ALARM_ACKNOWLEDGE = "acknowledge alarms"
    HEARTBEAT = "send heartbeats"


_Op = Operation
ALLOWED: dict[Role, frozenset[Operation]] = {
    Role.INFRASTRUCTURE_MANAGER: frozenset(Operation),
    Role.WORKLOAD_OPERATOR: frozenset({
        _Op.WORKLOAD_ANNOUNCE, _Op.WORKLOAD_CONTROL, _Op.WORKLOAD_READ,
        _Op.POWER_READ, _Op.POWER_FORECAST_READ, _Op.THERMAL_READ, _Op.HEALTH_READ,
    }),
    Role.GRID_OPERATOR: frozenset({
        _Op.GRID_READ, _Op.GRID_SIGNAL, _Op.GRID_FORECAST_SUBMIT, _Op.GRID_RESPOND,
        _Op.POWER_READ, _Op.POWER_FORECAST_READ, _Op.BATTERY_READ, _Op.HEALTH_READ,
    }),
    Role.MUNICIPAL_UTILITY: frozenset({
        _Op.HEAT_READ, _Op.HEAT_CONTROL, _Op.THERMAL_READ, _Op.HEALTH_READ,
    }),
}
READING = frozenset({
    _Op.POWER_READ, _Op.POWER_FORECAST_READ, _Op.BATTERY_READ, _Op.THERMAL_READ, _Op.GRID_READ, _Op.HEAT_READ,
    _Op.WORKLOAD_READ, _Op.HEALTH_READ, _Op.METRICS_READ,
})
"""What changes nothing: all that an API key without scopes may do of its role."""
DCPI_SCOPES: dict[str, frozenset[Operation]] = {
    "workload:announce": frozenset({_Op.WORKLOAD_ANNOUNCE, _Op.WORKLOAD_READ}),
    "workload:control": frozenset({_Op.WORKLOAD_CONTROL, _Op.WORKLOAD_READ}),
    "power:read": frozenset({_Op.POWER_READ, _Op.POWER_FORECAST_READ, _Op.BATTERY_READ}),
    "power:control": frozenset({_Op.POWER_CONTROL, _Op.BATTERY_CONTROL}),
    "thermal:read": frozenset({_Op.THERMAL_READ}),
    "thermal:control": frozenset({_Op.THERMAL_CONTROL}),
    "grid:communicate": frozenset({_Op.GRID_FORECAST_SUBMIT, _Op.GRID_SIGNAL}),
    "grid:read": frozenset({_Op.GRID_READ}),
    "grid:respond": frozenset({_Op.GRID_RESPOND}),
    "heat:read": frozenset({_Op.HEAT_READ}),
    "heat:communicate": frozenset({_Op.HEAT_OFFER, _Op.HEAT_CONTROL}),
    "system:read": frozenset({_Op.HEALTH_READ, _Op.METRICS_READ}),
}
"""DCPI's scopes. Its contract names none for a workload's status: whoever announces or controls may read it."""
KEY_SCOPES: dict[str, frozenset[Operation]] = {
    **DCPI_SCOPES,
    "alarm:acknowledge": frozenset({_Op.ALARM_ACKNOWLEDGE}),
    "heartbeat:send": frozenset({_Op.HEARTBEAT}),
}
"""What an API key can be narrowed to: DCPI's words, and two for what DCPI does not have."""


def allowed_of(role: str) -> frozenset[Operation]:
    """What the table allows a role; nothing for one that it does not have."""
    return next((allowed for known, allowed in ALLOWED.items() if known == role), frozenset())


def allowed_by(scopes: Iterable[str]) -> frozenset[Operation]:
    """What these scopes allow together; a word that is no scope allows nothing."""
    return frozenset().union(*(KEY_SCOPES.get(scope, frozenset()) for scope in scopes))
