"""What the plant's numbers mean, in the words of the maps' labels."""

from pswd_edge.model.point import Point

_Names = dict[int, tuple[str, ...]]

_BATTERY_STATE: _Names = {2: ("starting",), 3: ("running",), 4: ("throttled", "running"), 6: ("fault",)}
_RACK_STATE: _Names = {0: ("stopped",), 1: ("running",), 2: ("paused",), 3: ("idle",), 4: ("capped", "running")}
_CHILLER_STATE: _Names = {0: ("off",), 1: ("run", "running")}
_OUTLET: _Names = {0: ("off",), 1: ("on",)}
# (kind, signal): the plant's number and the names that a map may have for it, the first that fits counts.
_MEANINGS: dict[tuple[str, str], _Names] = {
    ("battery", "state"): _BATTERY_STATE,
    ("load_controller", "state"): _RACK_STATE,
    ("chiller", "state"): _CHILLER_STATE,
    ("pdu", "outlet_state"): _OUTLET, ("pdu", "outlet_command"): _OUTLET,
    ("ups", "outlet_state"): _OUTLET, ("ups", "outlet_command"): _OUTLET,
}


def codes(kind: str, point: Point) -> dict[int, int]:
    """The plant's number to the device's code by the point's labels; empty where both are the same thing."""
    known = _MEANINGS.get((kind, point.signal.partition("[")[0]), {})
    by_name = {name.lower(): code for code, name in point.labels.items()}
    found = {}
    for number, names in known.items():
        code = next((by_name[name] for name in names if name in by_name), None)
        if code is not None:
            found[number] = code
    return found
