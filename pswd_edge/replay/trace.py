"""A load from a CSV file, `time_s,load_w`, and what the law made of it, as CSV again."""

import csv
import math
from pathlib import Path

import numpy as np

from pswd_edge.control.rules.terms import Decision
from pswd_edge.errors import ConfigError
from pswd_edge.planning.run import Run, Series
from pswd_edge.planning.traces import STEP_S

HEADER = ("time_s", "load_w")
_SHOWN = 20                   # mistakes that are told one by one


def read_trace(path: Path) -> Series:
    """The load in steps of 20 ms, each value held until the next. Raises ConfigError: every mistake with its line."""
    times: list[float] = []
    loads: list[float] = []
    problems: list[str] = []
    with path.open(newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if tuple(h.strip() for h in header[:2]) != HEADER:
            raise ConfigError([f"{path}:1: got {','.join(header)}: expected {','.join(HEADER)}"])
        for number, row in enumerate(rows, 2):
            wrong = _wrong(row, times[-1] if times else -math.inf)
            if wrong:
                problems.append(f"{path}:{number}: {wrong}")
            else:
                times.append(float(row[0]))
                loads.append(float(row[1]))
    if len(times) < 2 and not problems:
        problems.append(f"{path}: got {len(times)} rows: expected two or more")
    if problems:
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise ConfigError(problems[:_SHOWN] + more)
    moments = np.arange(times[0], times[-1] + STEP_S / 2, STEP_S)
    places = np.searchsorted(np.array(times), moments + 1e-9, side="right") - 1
    return np.asarray(np.array(loads)[places], dtype=np.float64)


def _wrong(row: list[str], before_s: float) -> str:
    """What is wrong with a row; empty where nothing is."""
    if len(row) < 2:
        return f"got {len(row)} values: expected time_s and load_w"
    try:
        time_s, load_w = float(row[0]), float(row[1])
    except ValueError:
        return f"got {row[0]},{row[1]}: expected two numbers"
    if not (math.isfinite(time_s) and math.isfinite(load_w)):
        return f"got {row[0]},{row[1]}: expected finite numbers"
    if time_s <= before_s:
        return f"got time_s {row[0]}: expected more than {before_s:g}, the row before"
    return "" if load_w >= 0 else f"got load_w {row[1]}: expected 0 or more"


def write_decisions(path: Path, run: Run, decisions: list[Decision | None]) -> None:
    """One row a cycle: the true powers, and what the law decided and why. `decisions` as long as the counted run."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["time_s", "load_w", "grid_w", "battery_w", "energy_wh", "shed_w", "reference_w", "command_w",
                       "low_w", "high_w", "binding", "degraded", "tiers", "droop_w"])
        for i, made in enumerate(decisions):
            k = run.first + i
            step = None if made is None else made.step
            rows.writerow([
                f"{(i + 1) * run.period_s:.1f}", *(f"{v[k]:.1f}" for v in (
                    run.load_w, run.grid_w, run.battery_w, run.energy_wh, run.shed_w, run.reference_w)),
                "" if made is None else f"{made.battery_w:.1f}", *(["", ""] if step is None else
                                                                   [f"{step.low_w:.1f}", f"{step.high_w:.1f}"]),
                "" if made is None else made.binding, "" if made is None else " ".join(made.degraded),
                "".join("1" if t else "0" for t in run.tiers[k]),
                "" if made is None or made.droop_w is None else f"{made.droop_w:.1f}"])
