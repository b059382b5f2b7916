"""Pictures of a run: what load, grid and batteries did, beside what was allowed. Needs the extra `plots`."""

from pathlib import Path
from typing import Any

import numpy as np

from pswd_edge.planning.ramps import ramp_w_per_min
from pswd_edge.planning.run import Bounds, Run
from pswd_edge.planning.spectrum import density

MISSING = "plots need matplotlib: pip install 'pswd-edge[plots]'"
_POINTS_MAX = 6000
_LOAD, _GRID, _LIMIT, _STORE = "#9aa5b1", "#1f6feb", "#d1242f", "#2da44e"


def plot(run: Run, bounds: Bounds, title: str, path: Path) -> None:
    """Draw a run to `path`: .png, or .html with the picture in it. Raises ModuleNotFoundError without matplotlib."""
    import matplotlib as mpl  # noqa: PLC0415  # half a second, and an optional dependency

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(4, 1, figsize=(11, 11), height_ratios=(3, 2, 2, 2), layout="constrained")
    figure.suptitle(title, fontsize=12)
    _powers(axes[0], run, bounds)
    _ramps(axes[1], run, bounds)
    _energy(axes[2], run, bounds)
    _spectrum(axes[3], run)
    if path.suffix == ".html":
        drawn = path.with_suffix(".svg")
        figure.savefig(drawn)
        svg = drawn.read_text()
        drawn.unlink()
        style = "<style>body{margin:2em auto;max-width:72em;font-family:sans-serif}svg{width:100%;height:auto}</style>"
        path.write_text(f"<!doctype html><meta charset=utf-8><title>{title}</title>{style}\n{svg[svg.index('<svg'):]}")
    else:
        figure.savefig(path, dpi=110)
    plt.close(figure)


def _every(run: Run) -> tuple[Any, int]:
    """Seconds since the start for what is drawn, and which samples those are: every so many."""
    step = max(1, (len(run.grid_w) - run.first) // _POINTS_MAX)
    return (np.arange(run.first, len(run.grid_w), step) - run.first) * run.period_s, step


def _powers(axis: Any, run: Run, bounds: Bounds) -> None:
    time_s, step = _every(run)
    part = slice(run.first, None, step)
    axis.plot(time_s, run.load_w[part] / 1e6, color=_LOAD, linewidth=0.6, label="load")
    axis.plot(time_s, run.grid_w[part] / 1e6, color=_GRID, linewidth=0.9, label="grid")
    axis.plot(time_s, run.reference_w[part] / 1e6, color="black", linewidth=0.9, linestyle="--", label="reference")
    axis.plot(time_s, run.battery_w[part] / 1e6, color=_STORE, linewidth=0.6, label="batteries (discharge +)")
    if run.grid_w.max() > 0.7 * bounds.import_limit_w:
        axis.axhline(bounds.import_limit_w / 1e6, color=_LIMIT, linewidth=0.8, label="import limit")
    for i in range(run.tiers.shape[1]):
        engaged = run.tiers[part, i]
        if engaged.any():
            axis.fill_between(time_s, -4 - 3 * i, -2 - 3 * i, where=engaged, color=_LIMIT, alpha=0.5, linewidth=0,
                              label=f"tier {i + 1}")
    axis.set_ylabel("MW")
    axis.legend(loc="upper right", fontsize=8, ncols=3)


def _ramps(axis: Any, run: Run, bounds: Bounds) -> None:
    time_s, step = _every(run)
    part = slice(run.first, None, step)
    for window, width, alpha in ((10.0, 0.7, 0.5), (60.0, 1.2, 1.0)):
        ramp = ramp_w_per_min(run.grid_w, run.period_s, window)[part] / 1e6
        axis.plot(time_s, ramp, color=_GRID, linewidth=width, alpha=alpha, label=f"grid, mean over {window:g} s")
    axis.plot(time_s, ramp_w_per_min(run.load_w, run.period_s, 60.0)[part] / 1e6, color=_LOAD, linewidth=0.7,
              label="load, mean over 60 s")
    limit = bounds.ramp_w_per_min / 1e6
    axis.axhspan(-limit, limit, color=_STORE, alpha=0.08)
    for side in (-limit, limit):
        axis.axhline(side, color=_LIMIT, linewidth=0.8)
    axis.set_ylim(-2.6 * limit, 2.6 * limit)
    axis.set_ylabel("ramp, MW/min")
    axis.legend(loc="upper right", fontsize=8, ncols=3)


def _energy(axis: Any, run: Run, bounds: Bounds) -> None:
    time_s, step = _every(run)
    axis.plot(time_s, run.energy_wh[slice(run.first, None, step)] / 1e6, color=_STORE, linewidth=1.0, label="energy")
    for edge in (bounds.energy_min_wh, bounds.energy_max_wh):
        axis.axhline(edge / 1e6, color=_LIMIT, linewidth=0.8)
    axis.set_ylabel("MWh")
    axis.set_xlabel("s")


def _spectrum(axis: Any, run: Run) -> None:
    for values, color, name in ((run.load_w, _LOAD, "load"), (run.grid_w, _GRID, "grid")):
        frequency, found = density(values[run.first :], run.period_s)
        axis.loglog(frequency[1:], np.sqrt(found[1:]) / 1e6, color=color, linewidth=0.9, label=name)
    axis.set_ylabel("MW / √Hz")
    axis.set_xlabel("Hz (a 10 Hz record tells nothing above 5)")
    axis.legend(loc="upper right", fontsize=8)
