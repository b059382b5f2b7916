"""Who may do what. Deny by default: what is not in the table is refused."""

from enum import StrEnum


class Role(StrEnum):
    """The roles that a user can be granted; a token carries one of them."""

    WORKLOAD_OPERATOR = "workload_operator"
    INFRASTRUCTURE_MANAGER = "infrastructure_manager"
    GRID_OPERATOR = "grid_operator"
    MUNICIPAL_UTILITY = "municipal_utility"


class Operation(StrEnum):
    """What the services can be asked, whatever the profile calls it."""

    POWER_READ = "read power"
    BATTERY_READ = "read battery status"
    BATTERY_CONTROL = "control batteries"
    THERMAL_READ = "read thermal status"
    GRID_READ = "read grid status"
    WORKLOAD_ANNOUNCE = "announce workloads"
    WORKLOAD_CONTROL = "control workloads"
    WORKLOAD_READ = "read workload status"
    HEALTH_READ = "read system health"
    ALARM_ACKNOWLEDGE = "acknowledge alarms"
    HEARTBEAT = "send heartbeats"
    POWER_FORECAST_READ = "read the power forecast"
    POWER_CONTROL = "control power"
    THERMAL_CONTROL = "control cooling"
    GRID_SIGNAL = "send signals to the grid operator"
    GRID_FORECAST_SUBMIT = "submit load forecasts to the grid operator"
    GRID_RESPOND = "answer demand response requests"
    HEAT_READ = "read heat delivery"
    HEAT_CONTROL = "control heat delivery"
    HEAT_OFFER = "offer heat to the heat network"
    METRICS_READ = "read system metrics"


ALLOWED: dict[Role, frozenset[Operation]] = {
    Role.INFRASTRUCTURE_MANAGER: frozenset(Operation),
    Role.WORKLOAD_OPERATOR: frozenset({
        Operation.WORKLOAD_ANNOUNCE, Operation.WORKLOAD_CONTROL, Operation.WORKLOAD_READ,
        Operation.POWER_READ, Operation.POWER_FORECAST_READ, Operation.THERMAL_READ, Operation.HEALTH_READ,
    }),
    Role.GRID_OPERATOR: frozenset({
        Operation.GRID_READ, Operation.GRID_SIGNAL, Operation.POWER_READ, Operation.POWER_FORECAST_READ,
        Operation.BATTERY_READ, Operation.HEALTH_READ,
    }),
    Role.MUNICIPAL_UTILITY: frozenset({
        Operation.THERMAL_READ, Operation.HEAT_READ, Operation.HEAT_CONTROL, Operation.HEALTH_READ,
    }),
}


def allowed_of(role: str) -> frozenset[Operation]:
    """What the table allows a role; nothing for one that it does not have."""
    return next((allowed for known, allowed in ALLOWED.items() if known == role), frozenset())
