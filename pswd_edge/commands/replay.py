"""`pswd-edge replay`: the product's rules over a load, on virtual time, and how well it went."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pswd_edge.commands.replay_recording import replay_recording
from pswd_edge.config import load_site
from pswd_edge.control.record_file import SUFFIX
from pswd_edge.errors import ConfigError, PswdError
from pswd_edge.planning.plots import MISSING, plot
from pswd_edge.replay.loop import Case
from pswd_edge.replay.own_site import case_of
from pswd_edge.replay.scenarios import SCENARIOS, Draw, Scenario
from pswd_edge.replay.scoring import Scored, scored
from pswd_edge.replay.trace import read_trace, write_decisions
from pswd_edge.replay.trace_site import reference_case

SHOWN = (
    ("ramp, 60 s means", "ramp_60s_max_mw_per_min", "load_ramp_60s_max_mw_per_min", "MW/min"),
    ("ramp, 10 s means", "ramp_10s_max_mw_per_min", "load_ramp_10s_max_mw_per_min", "MW/min"),
    ("ramp, 1 s means", "ramp_1s_max_mw_per_min", "load_ramp_1s_max_mw_per_min", "MW/min"),
    ("largest step in 100 ms", "max_step_100ms_mw", "", "MW"),
    ("beyond the ramp limit", "violation_s", "", "s"),
    ("peak", "peak_mw", "load_peak_mw", "MW"),
    ("swing 0.5 to 2.5 Hz", "rms_iteration_mw", "load_rms_iteration_mw", "MW"),
    ("grid over load there", "amplification", "", ""),
    ("battery throughput", "throughput_mwh", "", "MWh"),
    ("full cycles of the window", "equivalent_cycles", "", ""),
    ("reversals", "reversals_per_h", "", "per hour"),
    ("energy, lowest", "energy_min_mwh", "", "MWh"),
    ("energy, highest", "energy_max_mwh", "", "MWh"),
    ("not served", "unserved_mwh", "", "MWh"),
    ("tiers engaged", "shed_events", "", ""),
    ("limits broken", "limit_violations", "", ""),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("what", metavar="TRACE.csv|SCENARIO|FILE.rec", help="a CSV file with time_s,load_w; a "
                        "scenario by number or part of its name (without a match all are listed); or a recording, or a "
                        "folder of them")
    parser.add_argument("--site", type=Path, help="the site whose batteries and limits are used (a CSV's default: the "
                        "reference site of 100 MW)")
    parser.add_argument("--soc", type=float, default=60.0, help="a CSV: where in their window the batteries begin, %% "
                        "(default 60)")
    parser.add_argument("--predictor", action="store_true", help="follow the predicted swing")
    parser.add_argument("--seed", type=int, default=301, help="a scenario's seed (default 301)")
    parser.add_argument("--f0", type=float, default=1.0, help="a scenario's rhythm in Hz (default 1)")
    parser.add_argument("--delay", type=float, default=0.25, help="a scenario's loop delay in s (default 0.25)")
    parser.add_argument("--seconds", type=float, default=600.0, help="a scenario's length (default 600)")
    parser.add_argument("--wear-price", type=float, metavar="PRICE", help="what a MWh through the batteries costs in "
                        "wear, in any currency: the run's wear is then priced, for a day like it")
    parser.add_argument("--out", type=Path, help="write each cycle's decision and the true powers as CSV")
    parser.add_argument("--plot", type=Path, help="draw the run, .png or .html")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")


def run(options: argparse.Namespace) -> int:
    """0 where no limit was broken; of a recording, where no bit differs."""
    path = Path(options.what)
    if path.suffix == SUFFIX or path.is_dir():
        return replay_recording(path, options.site, options.out, as_json=options.json)
    case, steady_from_s = _case(options)
    if options.plot is not None and options.plot.suffix not in (".png", ".html"):
        raise ConfigError([f"--plot: got {options.plot.name}: expected a name that ends in .png or .html"])
    found = scored(case, None, steady_from_s, keep=options.out is not None)
    if options.out is not None:
        write_decisions(options.out, found.run, found.loop.decisions[found.run.first :])
    if options.plot is not None:
        _plot(found, options.plot)
    if options.json:
        print(json.dumps(_object(found, options.wear_price)))
    else:
        _show(found, options.wear_price)
    return 1 if found.card.limit_violations and case.viable else 0


def _case(options: argparse.Namespace) -> tuple[Case, float | None]:
    """The case that is meant, and from when on it trains undisturbed."""
    path = Path(options.what)
    if path.suffix == ".csv":
        if not path.exists():
            raise ConfigError([f"{path}: no such file"])
        load = read_trace(path)
        if options.site is None:
            return reference_case(path.stem, load, options.soc / 100, predicts=options.predictor), None
        site = load_site(options.site, dict(os.environ))
        return case_of(site, path.stem, load, options.soc / 100), None
    found = _scenario(options.what)
    draw = Draw(options.seed, options.f0, options.delay, options.seconds, options.predictor)
    return found.build(draw), found.steady_from_s


def _scenario(asked: str) -> Scenario:
    near = [s for s in SCENARIOS if asked == str(s.number)] or [s for s in SCENARIOS if asked.lower() in s.name]
    if len(near) == 1:
        return near[0]
    listed = near or SCENARIOS
    names = "\n".join(f"  {s.number:3d}  {s.name}" for s in listed)
    raise PswdError(f"{asked}: expected a .csv file or one of these scenarios, by number or part of the name:\n{names}")


def _plot(found: Scored, path: Path) -> None:
    try:
        plot(found.run, found.bounds, found.case.name, path)
    except ModuleNotFoundError as error:
        raise PswdError(MISSING) from error


def wear_per_day(found: Scored, price_per_mwh: float | None) -> float | None:
    """The wear of a day like this run, by throughput; None without a price.

    By throughput: shallow cycles, as following a swing makes them, wear a cell less than their energy's share of deep
    ones, so this is the most that they cost.
    """
    if price_per_mwh is None:
        return None
    return price_per_mwh * found.card.throughput_mwh / found.card.seconds * 86400


def _object(found: Scored, price_per_mwh: float | None) -> dict[str, Any]:
    return {"name": found.case.name, "viable": found.case.viable, "why": found.case.why, **found.card.as_dict(),
            **{f"optimum_{k}": v for k, v in found.optimum.items()},
            "wear_per_day": wear_per_day(found, price_per_mwh), "measured_delay_s": found.loop.measured_delay_s,
            "degraded": sorted(found.loop.seen_degraded),
            "replay_speed": found.speed}


def _show(found: Scored, price_per_mwh: float | None) -> None:
    console = Console(highlight=False)
    table = Table(title=found.case.name, title_justify="left")
    for name in ("", "grid", "load", "optimum", "unit"):
        table.add_column(name, justify="left" if name in ("", "unit") else "right")
    values, best = found.card.as_dict(), {"throughput_mwh": "throughput_mwh", "unserved_mwh": "unserved_mwh"}
    for text, mine, raw, unit in SHOWN:
        table.add_row(text, _number(values[mine]), _number(values.get(raw)) if raw else "",
                      _number(found.optimum[best[mine]]) if mine in best else "", unit)
    console.print(table)
    if (wear := wear_per_day(found, price_per_mwh)) is not None:
        console.print(f"Wear of a day like this: {wear:,.0f} at most, at {price_per_mwh:g} a MWh.")
    if not found.case.viable:
        console.print(f"No controller could serve this whole: {found.case.why}.")
    if found.loop.seen_degraded:
        console.print(f"Degraded on the way: {', '.join(sorted(found.loop.seen_degraded))}.")
    console.print(f"{found.card.seconds:.0f} s in {found.seconds:.1f} s: {found.speed:.0f} times real time.")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.2f}"
