"""What droop must fulfil: a frequency that is read often enough, and batteries that can keep its reserve."""

from typing import Protocol

from pswd_edge.config.compile_droop import kept_free_wh, kept_wh, window_wh
from pswd_edge.config.control_form import ControlForm
from pswd_edge.config.map_form import RowForm
from pswd_edge.config.mistakes import number
from pswd_edge.config.place import Place


class PolledPoints(Protocol):
    """The points that the site will have, and how often they will be read."""

    def row(self, device: str, signal: str) -> RowForm | None:
        """The row of a point, or None."""
        ...

    def every_ms(self, device: str, row: RowForm) -> int:
        """How often a point will be read."""
        ...


def check_droop(control: ControlForm, points: PolledPoints, place: Place) -> None:
    """Note what is missing or cannot be in `control.droop`; all comparisons with NaN (not read) are False."""
    form = control.droop
    if form is None:
        return
    if not control.frequency:
        place.complain((), "no control.frequency", "the point of the grid's frequency, which droop answers to")
    else:
        _check_age(control.frequency, form.max_age_ms, points, place)
    _check_power(control, form.power_max_w, place)
    window, low, high = window_wh(control.batteries), kept_wh(control), kept_free_wh(control)
    if low + high > window:
        place.complain(
            ("reserve_s",),
            f"{number(form.reserve_s)}, which keeps {low / 1e6:.2f} MWh in and {high / 1e6:.2f} MWh free",
            f"both within what soc_percent leaves of the batteries, {window / 1e6:.2f} MWh")


def _check_age(point: str, max_age_ms: int, points: PolledPoints, place: Place) -> None:
    device, _, signal = point.partition(".")
    row = points.row(device, signal)
    every = points.every_ms(device, row) if row is not None else 0
    if max_age_ms < 2 * every:
        place.complain(("max_age_ms",), f"{max_age_ms} ms for {point}, which is read every {every} ms",
                       f"{2 * every} ms or more")


def _check_power(control: ControlForm, power_max_w: float, place: Place) -> None:
    for verb, rating_w in (("discharge", sum(b.discharge_w for b in control.batteries.values())),
                           ("charge", sum(b.charge_w for b in control.batteries.values()))):
        if power_max_w > rating_w:
            place.complain(("power_max_w",), number(power_max_w),
                           f"what the batteries together {verb}, {number(rating_w)}, at most")
            return
