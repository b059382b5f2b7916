"""What a device keeps or counts by itself: signals of which the plant knows nothing. All in SI."""

from collections.abc import Collection, Mapping, Sequence

from pswd_edge.model.point import Point

# (kind, signal): what a healthy device shows; writable ones begin with it and keep what is written.
_START: dict[tuple[str, str], float] = {
    ("ups", "battery_status"): 2.0, ("ups", "on_battery_s"): 0.0, ("ups", "battery_voltage_v"): 480.0,
    ("ups", "battery_temperature_c"): 24.0, ("ups", "alarms_present"): 0.0,
    ("cdu", "inlet_pressure_bar"): 0.4, ("cdu", "active_power_w"): 3200.0, ("cdu", "pump_1_status"): 1.0,
    ("cdu", "sensor_alarms"): 0.0, ("cdu", "threshold_alarms"): 0.0, ("cdu", "alarms"): 0.0,
    ("chiller", "local"): 0.0, ("chiller", "capacity_limited"): 0.0, ("chiller", "alarm"): 0.0,
    ("chiller", "evaporator_flow"): 1.0, ("chiller", "outdoor_temperature_c"): 16.0, ("chiller", "current_a"): 410.0,
    ("battery", "connected"): 1.0, ("battery", "setpoint_mode"): 1.0, ("battery", "revert_enable"): 1.0,
    ("battery", "control_place"): 0.0,
}
_HEARTBEAT = "device_heartbeat"        # counts seconds
_COUNTDOWN = "revert_remaining_s"      # until the device falls back


class Memory:
    """The signals of a device that are not simulated; `stored` holds what clients wrote there.

    Signals without a start value here are absent: the device has nothing to show for them, until they are written.
    """

    def __init__(self, kind: str, points: Sequence[Point], simulated: Collection[str]) -> None:
        own = [p for p in points if p.signal not in simulated]
        signals = {p.signal for p in own}
        self._start = {s: _START[kind, s] for s in signals if (kind, s) in _START}
        self._writable = {p.signal for p in own if p.write is not None}
        self._beats = _HEARTBEAT in signals
        self._counts_down = _COUNTDOWN in signals
        self._written_s = 0.0
        self._stored = dict(self._start)

    def keeps(self, signal: str) -> bool:
        """Whether a write to this signal ends here and not in the plant."""
        return signal in self._writable

    def store(self, signal: str, value: float) -> None:
        """Keep what a client wrote."""
        self._stored[signal] = value

    def note_setpoint(self, time_s: float) -> None:
        """The plant took a power set-point at this plant time: the countdown begins again."""
        self._written_s = time_s

    def forget(self) -> None:
        """As at start."""
        self._stored = dict(self._start)

    def values(self, time_s: float, simulated: Mapping[str, float]) -> dict[str, float]:
        """What to show at this plant time beside the simulated signals."""
        values = dict(self._stored)
        if self._beats:
            values[_HEARTBEAT] = float(int(time_s))
        if self._counts_down:
            values[_COUNTDOWN] = self._remaining_s(time_s, simulated)
        return values

    def _remaining_s(self, time_s: float, simulated: Mapping[str, float]) -> float:
        if simulated.get("power_setpoint_w", 0.0) == 0.0:
            return 0.0
        return max(0.0, self._written_s + simulated.get("revert_timeout_s", 0.0) - time_s)
