"""What a site's clients ask in a benchmark: small answers, commands, and downloads of an hour."""

from pswd_edge.bench.api_load import Operation

WORKLOADS = ("bench-a", "bench-b", "bench-c")
HOUR = Operation("hour at 100 ms", "GET", "/power/realtime?duration_seconds=3600&resolution_ms=100")
REALTIME = Operation("realtime 60 s", "GET", "/power/realtime?duration_seconds=60")

_READS = (
    Operation("battery status", "GET", "/battery/status"),
    Operation("thermal status", "GET", "/thermal/status"),
    Operation("grid status", "GET", "/grid/status"),
    Operation("system health", "GET", "/system/health"),
    Operation("workload status", "GET", f"/workload/{WORKLOADS[0]}/status"),
)


def announcement(workload_id: str, peak_mw: float) -> str:
    """A training job that may be throttled, as JSON."""
    return (f'{{"PSWD_version": "1.0", "message_type": "workload_announcement", "timestamp": "{{now}}", "workload_id": '
            f'"{workload_id}", "workload_type": "ai_training", "power_profile": {{"peak_power_mw": {peak_mw}, '
            f'"baseline_power_mw": {peak_mw / 4}, "ramp_rate_mw_per_sec": 1.0, "duration_estimate_sec": 60}}, '
            '"flexibility_parameters": {"throttling_capability": true, "priority_level": "normal"}}')


def small_reads(per_s: float) -> list[Operation]:
    """`per_s` answers of a few hundred bytes, and of a minute of power."""
    each = per_s / (len(_READS) + 2)
    return [REALTIME._replace(per_s=2 * each), *(read._replace(per_s=each) for read in _READS)]


def mixed(per_s: float = 50.0) -> list[Operation]:
    """Commands among reads: announcements, batteries, workloads, cooling."""
    found = commands()
    return [*small_reads(per_s - sum(c.per_s for c in found)), *found]


def commands() -> list[Operation]:
    """Two of each a second; each one changes something, so that a device has to acknowledge it.

    Cooling gets one in two seconds: its devices take one write a second of each set-point.
    """
    battery = [f'{{"command_type": "discharge", "timestamp": "{{now}}", "target_power_mw": {power}, "duration_sec": 9}}'
               for power in (1.0, 2.0, 3.0, 4.0, 5.0)]
    throttle = [f'{{"command_type": "throttle", "timestamp": "{{now}}", "target_power_mw": {power}}}'
                for power in (3.0, 3.5, 4.0)]
    cooling = [f'{{"command_type": "set_temperature", "timestamp": "{{now}}", "target_temperature_c": {celsius}}}'
               for celsius in (29.0, 29.5, 30.5)]
    return [
        Operation("announce", "POST", "/workload/announce", 2.0, [announcement("bench-{n}", 0.05)]),
        Operation("battery control", "POST", "/battery/control", 2.0, battery, "status"),
        *(Operation("workload control", "POST", f"/workload/{name}/control", 2.0 / len(WORKLOADS), throttle,
                    "command_status") for name in WORKLOADS),
        Operation("thermal control", "POST", "/thermal/control", 0.5, cooling, "status"),
    ]
