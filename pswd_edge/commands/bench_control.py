"""The table of `bench control`."""

import statistics
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table


def show(found: dict[str, Any]) -> None:
    """One line for each scenario and kind of law: the worst and the median over seeds, rhythms and delays."""
    groups: dict[tuple[int, bool], list[dict[str, Any]]] = defaultdict(list)
    for row in found["scenarios"]:
        groups[row["number"], row["predictor"]].append(row)
    table = Table(title="scenarios on virtual time; worst / median of the runs", title_justify="left")
    for name in ("no", "scenario", "law", "runs", "60 s", "10 s", "raw 60 s", "amplification", "throughput / LP",
                 "unserved", "LP", "limits"):
        table.add_column(name, justify="left" if name in ("scenario", "law") else "right")
    for (number, predictor), rows in sorted(groups.items()):
        first = rows[0]
        table.add_row(
            str(number), first["name"] + ("" if first["viable"] else " *"), "predictor" if predictor else "filter",
            str(len(rows)), _both(rows, "ramp_60s_max_mw_per_min"), _both(rows, "ramp_10s_max_mw_per_min"),
            _both(rows, "load_ramp_60s_max_mw_per_min"), _both(rows, "amplification", 2),
            _both(rows, "throughput_over_optimum", 2), _both(rows, "unserved_mwh", 2),
            _both(rows, "optimum_unserved_mwh", 2), str(sum(r["limit_violations"] for r in rows)))
    console = Console(width=None if Console().is_terminal else 190)
    console.print(table)
    for name, why in sorted({(r["name"], r["why"]) for r in found["scenarios"] if not r["viable"]}):
        console.print(f"* {name}: {why}", highlight=False)
    _announced(console, found["announced"])
    for key, value in found.items():
        if key not in ("scenarios", "announced"):
            console.print(f"{key:28} {value}", highlight=False)


def _announced(console: Console, found: dict[str, Any]) -> None:
    """What was announced, and what came: one line for each."""
    table = Table(title="announcements: the step of the whole range, unless a job is named", title_justify="left")
    for name in ("battery", "what came", "60 s", "10 s", "beyond, s", "limits", "throughput / LP"):
        table.add_column(name, justify="left" if name in ("battery", "what came") else "right")
    for row in found["cases"]:
        ratio = row["throughput_over_optimum"]
        table.add_row(row["kind"], row["name"], f"{row['ramp_60s_max_mw_per_min']:.1f}",
                      f"{row['ramp_10s_max_mw_per_min']:.1f}", f"{row['violation_s']:.0f}",
                      str(row["limit_violations"]), "-" if ratio is None else f"{ratio:.2f}")
    console.print(table)
    needed = found["needed_over_bound"]
    console.print(f"battery for a firm step, over swing² / 8R = {found['bound_mwh']:.2f} MWh: "
                  f"{'more than 1.3' if needed is None else f'{needed:.2f}'}", highlight=False)


def _both(rows: Iterable[dict[str, Any]], key: str, digits: int = 1) -> str:
    values = [r[key] for r in rows if r[key] is not None]
    return f"{max(values):.{digits}f} / {statistics.median(values):.{digits}f}" if values else "-"
