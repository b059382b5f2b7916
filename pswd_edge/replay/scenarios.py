"""What a site must live through, by number: loads, faults and orders, each on the reference site of 100 MW.

A scenario makes a case from a seed, the rhythm of the training job and the delay of the loop. Where no controller can
serve a case with these batteries, it says so, and why.
"""

from pswd_edge.replay import announcements, excursions, faults, loads, needs
from pswd_edge.replay.making import REFERENCE, Draw, Maker, Scenario, store

__all__ = ["DELAYS_S", "ELSEWHERE", "F0_HZ", "SCENARIOS", "Draw", "Maker", "Scenario", "scenario", "store"]

F0_HZ = (0.3, 0.5, 1.0, 1.5)
DELAYS_S = (0.25, 0.45)
ELSEWHERE = {
    20: "late answers: tests/field/drivers, Modbus links and fuzz",
    22: "clock steps: tests/control/test_cycle.py, tests/control/test_desk.py",
    28: "replayed, doubled, expired commands: tests/control/test_desk.py, test_requests.py",
    38: "broker away: tests/gateway/uplink",
    39: "clients that do not read: tests/gateway",
    40: "reload in mid-event: tests/test_reload.py",
    42: "the adversary: bench control, adversarial cycles",
    43: "counters that roll over: tests/field, no rule reads one",
}
"""Numbers that are about input and output, and where they are tested."""

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(0, "steady training", loads.steady, judged=True, steady_from_s=150.0),
    Scenario(1, "step up from idle", loads.step_up, judged=True),
    Scenario(2, "abort from full load", loads.abort, judged=True),
    Scenario(3, "abort while the reference climbs", loads.abort_in_ramp, judged=True),
    Scenario(4, "restart a second after an abort", loads.restart, judged=True),
    Scenario(5, "checkpoints of 5, 15 and 60 s", loads.dips, judged=True),
    Scenario(6, "two jobs, in step and then beating", loads.two_jobs),
    Scenario(7, "rhythm from 0.05 to 5 Hz", loads.sweep),
    Scenario(8, "rhythm that drifts", loads.drift, steady_from_s=150.0),
    Scenario(9, "sawtooth at the ramp limit", loads.sawtooth),
    Scenario(10, "steps with and against a climbing reference", loads.steps_in_ramp, judged=True),
    Scenario(11, "batteries at the edge of their window", loads.edges),
    Scenario(12, "load outside the promised range", loads.outside_range),
    Scenario(13, "ceiling lowered below the load", needs.ceiling_lowered),
    Scenario(14, "half the battery that is needed", needs.undersized),
    Scenario(15, "uneven ratings, derated in mid-ramp", needs.derated),
    Scenario(16, "a battery's own limit falls to 0", faults.limit_flips),
    Scenario(17, "the grid meter lies in six ways", faults.meter_faults),
    Scenario(18, "the grid meter is silent, then a step", faults.meter_stale),
    Scenario(19, "a meter that renews once a second", faults.slow_meter),
    Scenario(21, "meter and battery 300 ms apart", faults.skew),
    Scenario(23, "cycles that come too late", faults.overruns),
    Scenario(24, "a battery that does not follow", faults.follows),
    Scenario(25, "set-points that do not arrive", faults.silent),
    Scenario(26, "a battery in LOCAL", faults.local),
    Scenario(27, "requests against limits", needs.contradictions),
    Scenario(29, "manual and automatic in turns", needs.mode_flapping),
    Scenario(30, "tiers that are not what they say", needs.bad_tiers),
    Scenario(31, "a load that swings around the need to shed", needs.threshold),
    Scenario(32, "loads that come back with half as much again", needs.pickup),
    Scenario(33, "four batteries of unequal charge, one is lost", faults.unequal),
    Scenario(34, "import limit lowered below what batteries can hold", needs.import_lowered),
    Scenario(35, "ramp limit 10, 2, 10 MW/min", needs.ramp_changed),
    Scenario(36, "the grid is gone for 30 s", faults.outage),
    Scenario(37, "abort under discharge, no export allowed", needs.export),
    Scenario(41, "control restarted in mid-ramp", faults.restarted),
    Scenario(45, "an announced step of the whole range", announcements.step),
    Scenario(46, "a job started and stopped as announced", announcements.start_and_stop),
    Scenario(47, "an announced checkpoint", announcements.checkpoint),
    Scenario(50, "frequency of 49.7 Hz for a minute, then within the deadband", excursions.low_frequency),
    Scenario(51, "frequency across the deadband, its meter lost in mid-excursion", excursions.lost_frequency),
    Scenario(52, "abort with full batteries, and load banks", needs.full),
    Scenario(53, "a chiller comes while the batteries carry", needs.chillers),
    Scenario(REFERENCE, "ref-100MW: start, checkpoint, abort, restart, abort", loads.reference, judged=True),
)


def scenario(number: int) -> Scenario:
    """The scenario of a number. Raises KeyError."""
    return {s.number: s for s in SCENARIOS}[number]
