"""The report to the utility: the grid's power from the record, its ramps, and why any was above the limit."""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pswd_edge.chain.chain_check import check_chain, read_entries
from pswd_edge.clock import iso_utc
from pswd_edge.commands.sentences import headline
from pswd_edge.control.power_record import PowerBlock, PowerRecord, hours
from pswd_edge.model.site import Site
from pswd_edge.planning.compliance import (
    WINDOWS_S,
    Gap,
    Run,
    Span,
    Violation,
    ends_in,
    gaps,
    score,
    violations,
)
from pswd_edge.planning.ramps import APART_S, SHARE_MIN, ramp_w_per_min, rolling_mean

_CAUSES_TOLD = 40
_GAPS_TOLD = 1000
_DEFINITION = (f"ramp_w(t) = mean over the w seconds that end at t less the mean {APART_S:g} s before, W/min, at every "
               f"cycle; a mean needs {SHARE_MIN:.0%} of its measurements; what is missing is never made up")
_STEP_S = 0.5                 # a block that is further from where the clock expects it begins a new run
_GAP_MAX_S = 3600.0           # a longer silence is a new run too: nothing is kept of it in memory
_WARM_S = 2 * max(WINDOWS_S)


class Report(NamedTuple):
    """Everything that is written."""

    facts: dict[str, Any]
    ramps_csv: bytes
    violations_csv: bytes


def runs_of(blocks: Iterable[PowerBlock]) -> list[Run]:
    """Blocks joined where one clock ran through; a restart in between leaves NaN, a clock that was set ends a run."""
    runs: list[Run] = []
    parts: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    start, slot, length = 0.0, 0.1, 0
    for block in blocks:
        period = block.period_ms / 1000
        missing_s = block.utc_s - (start + length * slot)
        if parts and (period != slot or not -_STEP_S < missing_s < _GAP_MAX_S):
            runs.append(Run(start, slot, np.concatenate(parts)))
            parts = []
        if not parts:
            start, slot, length, missing_s = block.utc_s, period, 0, 0.0
        if missing_s > _STEP_S:
            parts.append(np.full(round(missing_s / slot), np.nan))
            length += len(parts[-1])
        parts.append(block.power_w.astype(np.float64))
        length += len(block.power_w)
    if parts:
        runs.append(Run(start, slot, np.concatenate(parts)))
    return runs


def report_of(site: Site, state_dir: Path, span: Span, now_utc_s: float) -> Report:
    """Read record and ledger and judge. Raises OSError where they cannot be read."""
    limit = site.control.ramp_limit_w_per_min
    blocks = PowerRecord(state_dir / "power").read(span.from_utc_s - _WARM_S, span.to_utc_s)
    runs = runs_of(blocks)
    entries = [e for e in read_entries(state_dir / "ledger", span.from_utc_s - 86_400) if
               e.get("utc_s", 0) <= span.to_utc_s]
    found = sorted((v for run in runs for w in WINDOWS_S for v in violations(run, w, limit, span)),
                   key=lambda v: (v.start_utc_s, v.window_s))
    missing = gaps(runs, span)
    told = [{**_violation(v), "causes": causes_of(v, entries, missing)} for v in found]
    ramps_csv, violations_csv = _ramps_csv(runs, span), _violations_csv(told)
    facts = {
        "format": "pswd-edge compliance 1", "site": site.id, "facility": site.facility_id, "name": site.name,
        "from_utc": iso_utc(span.from_utc_s), "to_utc": iso_utc(span.to_utc_s), "made_utc": iso_utc(now_utc_s),
        "measured_at": site.points[site.control.grid_power.point].id,
        "ramp_limit_w_per_min": limit, "ramp_limits_in_the_ledger_w_per_min": _limits(entries),
        "definition": _DEFINITION,
        "windows": [score(runs, w, limit, span)._asdict() for w in WINDOWS_S],
        "violations": told, "gaps": [_gap(g) for g in missing[:_GAPS_TOLD]], "gaps_total": len(missing),
        "gaps_s": sum(g.end_utc_s - g.start_utc_s for g in missing),
        "ledger": _ledger(state_dir), "power_record": _sealed(state_dir, span),
        "files": {"ramps.csv": hashlib.sha256(ramps_csv).hexdigest(),
                  "violations.csv": hashlib.sha256(violations_csv).hexdigest()}}
    return Report(facts, ramps_csv, violations_csv)


def causes_of(violation: Violation, entries: list[dict[str, Any]], missing: list[Gap]) -> list[str]:
    """What the ledger and the record say of the time in which the violation came about, oldest first."""
    begin, end = violation.from_watch_utc_s, violation.end_utc_s
    before = [e for e in entries if e["utc_s"] <= begin and e.get("kind") == "change" and e.get("subject") == "site"]
    lines = [(e["utc_s"], f"in force when it began, since {iso_utc(e['utc_s'])}: {headline(e)}") for e in before[-1:]]
    lines += [(e["utc_s"], f"{iso_utc(e['utc_s'])} {headline(e)}") for e in entries
              if begin < e["utc_s"] <= end and _matters(e)]
    blind = [g for g in missing if g.end_utc_s > begin and g.start_utc_s < end]
    lines += [(g.start_utc_s, _blind(g)) for g in blind]
    ordered = [text for _, text in sorted(lines)]
    more = len(ordered) - _CAUSES_TOLD
    return [*ordered[:_CAUSES_TOLD], *([f"and {more} more in the ledger"] if more > 0 else [])]


def _blind(gap: Gap) -> str:
    return f"{iso_utc(gap.start_utc_s)} nothing good was measured for {gap.end_utc_s - gap.start_utc_s:.1f} s"


def _matters(entry: dict[str, Any]) -> bool:
    """Site and tier changes, requests that were taken, starts, lost entries, clock steps."""
    if entry.get("kind") == "request":
        return entry.get("answer") in {"Accepted", "Clamped"}
    if entry.get("kind") == "change":
        return entry.get("subject") == "site"
    return entry.get("kind") in {"opened", "lost", "clock"}


def _violation(v: Violation) -> dict[str, Any]:
    return {"window_s": v.window_s, "start_utc": iso_utc(v.start_utc_s), "end_utc": iso_utc(v.end_utc_s),
            "seconds": round(v.end_utc_s - v.start_utc_s, 3), "peak_w_per_min": v.peak_w_per_min,
            "excess_w": v.excess_w}


def _gap(gap: Gap) -> dict[str, Any]:
    return {"start_utc": iso_utc(gap.start_utc_s), "end_utc": iso_utc(gap.end_utc_s),
            "seconds": round(gap.end_utc_s - gap.start_utc_s, 3)}


def _limits(entries: list[dict[str, Any]]) -> list[float]:
    found = {float(e["limits"]["ramp_w_per_min"]) for e in entries if "ramp_w_per_min" in (e.get("limits") or {})}
    return sorted(found)


def _ledger(state_dir: Path) -> dict[str, Any]:
    checked = check_chain(state_dir / "ledger")
    return {"entries": checked.entries, "last_hash": checked.last_hash, "faults": checked.faults}


def _sealed(state_dir: Path, span: Span) -> list[dict[str, str]]:
    """Each hour's file, and whether it is what the ledger sealed."""
    seals = {e["file"]: e["sha256"] for e in read_entries(state_dir / "ledger") if e.get("kind") == "power"}
    found = []
    for hour, path in hours(state_dir / "power"):
        if span.from_utc_s // 3600 <= hour <= span.to_utc_s // 3600:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            seal = seals.get(path.name)
            kept = "as sealed" if seal == digest else "CHANGED after it was sealed"
            state = "not sealed yet" if seal is None else kept
            found.append({"file": path.name, "sha256": digest, "state": state})
    return found


def _ramps_csv(runs: list[Run], span: Span) -> bytes:
    """One line a second: the mean of the second, and the ramps at its end. What was not measured is empty."""
    return _csv(["utc", "grid_mean_1s_w", *(f"ramp_{w}s_w_per_min" for w in WINDOWS_S)], _ramp_rows(runs, span))


def _ramp_rows(runs: list[Run], span: Span) -> Iterator[list[str]]:
    for run in runs:
        every = max(1, round(1 / run.slot_s))
        columns = [rolling_mean(run.power_w, every)[0], *(
            ramp_w_per_min(run.power_w, run.slot_s, w) for w in WINDOWS_S)]
        inside = ends_in(run, span)
        for i in range(every - 1, len(run.power_w), every):
            if inside[i]:
                yield [iso_utc(run.start_utc_s + (i + 1) * run.slot_s),
                       *("" if np.isnan(c[i]) else f"{c[i]:.0f}" for c in columns)]


def _violations_csv(told: list[dict[str, Any]]) -> bytes:
    names = ["window_s", "start_utc", "end_utc", "seconds", "peak_w_per_min", "excess_w"]
    return _csv([*names, "causes"], ([*(str(v[n]) for n in names), " | ".join(v["causes"])] for v in told))


def _csv(head: list[str], rows: Iterable[list[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue().encode()


def encoded(facts: dict[str, Any]) -> bytes:
    """The JSON file's bytes; these are signed."""
    return msgspec.json.format(msgspec.json.encode(facts)) + b"\n"
