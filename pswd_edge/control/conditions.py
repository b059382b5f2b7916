"""What a cycle tells of itself: conditions that are alarms, changes that are events. Pure."""

from collections.abc import Iterable, Iterator

from pswd_edge.control.arbiter import Verdict
from pswd_edge.control.journal import Journal
from pswd_edge.control.ledger import Ledger
from pswd_edge.control.recorder import Recorder
from pswd_edge.control.rules.law import Decision, LawState
from pswd_edge.control.tier_file import TierFile
from pswd_edge.model.control import ControlSpec, Supervisor
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site
from pswd_edge.model.snapshot import Snapshot


def decided_conditions(decision: Decision, state: LawState) -> Iterator[tuple[str, str]]:
    """Code and text for each degraded mode, and for power that nobody can absorb."""
    for name in decision.degraded:
        yield name, f"degraded: {name.replace('_', ' ')}"
    if state.absorbed.unmet_w > 0:
        unmet_mw = state.absorbed.unmet_w / 1e6
        yield "surplus", f"{unmet_mw:.1f} MW more than reference, batteries and absorbers can take"


def contradictions(site: Site, verdicts: Iterable[Verdict]) -> Iterator[tuple[str, str]]:
    """Code and text for each point that two of one level want at different values."""
    for found in verdicts:
        if found.tied:
            yield f"contradiction:{site.points[found.point].id}", f"neither is taken: {', '.join(found.tied)}"


def tier_changes(spec: ControlSpec, before: LawState, after: LawState) -> Iterator[tuple[str, str, str]]:
    """Severity, tier and text for each tier that was shed or given back."""
    would = "would be " if spec.shadow else ""
    for tier, old, new in zip(spec.tiers, before.shed.tiers, after.shed.tiers, strict=True):
        if new.engaged and not old.engaged:
            yield "warning", tier.id, f"{tier.id}: {would}shed, {new.shed_w / 1e6:.1f} MW less"
        elif old.engaged and not new.engaged:
            yield "info", tier.id, f"{tier.id}: {would}given back"


def silence_text(supervisor: Supervisor) -> str:
    """What is told when a supervisor is not heard any more."""
    limits = {"release": "its limits stay until they run out", "hold_limit": "its limits stay until it is heard again",
              "safe": "SAFE"}[supervisor.on_silence]
    return (f"{supervisor.name} was not heard for {supervisor.period_s:g} s: its set-points and targets are let go; "
            f"{limits}")


def disk_conditions(ledger: Ledger, recorder: Recorder, tiers: TierFile, journal: Journal) -> Iterator[tuple[str, str]]:
    """Code and text for each thing that the disk does not take."""
    if recorder.trouble or recorder.dropped:
        yield "recording", recorder.trouble or f"{recorder.dropped} cycles are missing: the disk is slow"
    kept = (("ledger", ledger.trouble), ("tiers_not_kept", tiers.trouble), ("alarms_not_kept", journal.trouble))
    yield from ((code, trouble) for code, trouble in kept if trouble)


def bad_inputs(site: Site, snapshot: Snapshot, decision: Decision) -> str:
    """Names of control inputs that are not good; empty where all are. A small battery is no bad input."""
    spec = site.control
    points = [spec.grid_power.point, *(p for b in spec.batteries for p in (b.soc.point, b.power.point))]
    bad = [site.points[p].id for p in points if snapshot.read(p).quality is not Quality.GOOD]
    return ", ".join(dict.fromkeys([*bad, *(() if decision.starts else decision.degraded)]))
