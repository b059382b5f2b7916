"""The loop's corner and ramps as they are now: by the site file, what was ordered since, and the measured delay."""

from pswd_edge.model.control import ControlSpec
from pswd_edge.model.tuning import Tuning, corner, peak_gain, tuned

_LEAST_SHARE = 0.02           # of the limit: a ramp that is never 0, since reserves are counted in steps of it
_LEAST_W_PER_S = 10.0         # the same where the limit itself is 0: an order may say so
_TELL_S = 0.025               # a measured delay is believed in steps of this: the ramp must not follow its noise


def tune(spec: ControlSpec, ramp_limit_w_per_min: float, measured_s: float | None) -> Tuning:
    """Corner and ramps.

    A measured delay only tightens them: a loop that looks faster than the site file says may be slower again soon.
    Where steps alone would use up the limit, a fiftieth of it is left: see `too_slow`.
    """
    period_s = spec.period_ms / 1000
    delay_s = spec.delay_s
    if measured_s is not None and measured_s > spec.delay_s + _TELL_S:
        delay_s = round(measured_s / _TELL_S) * _TELL_S
    unchanged = delay_s == spec.delay_s and ramp_limit_w_per_min >= spec.ramp_limit_w_per_min
    corner_hz = spec.filter_hz if unchanged else min(spec.filter_hz, corner(delay_s, period_s))
    if unchanged:
        return Tuning(delay_s, corner_hz, peak_gain(corner_hz, delay_s, period_s), spec.ramp_up_w_per_s,
                      spec.ramp_down_w_per_s)
    found = tuned(ramp_limit_w_per_min, spec.load_ceiling_w - spec.load_floor_w, delay_s, period_s, corner_hz)
    least = _least_w_per_s(ramp_limit_w_per_min)
    return found._replace(up_w_per_s=max(least, min(found.up_w_per_s, spec.ramp_up_w_per_s)),
                          down_w_per_s=max(least, min(found.down_w_per_s, spec.ramp_down_w_per_s)))


def too_slow(tuning: Tuning, ramp_limit_w_per_min: float) -> bool:
    """Whether the delay leaves no ramp worth the name: control of this site would not keep the limit."""
    return min(tuning.up_w_per_s, tuning.down_w_per_s) <= _least_w_per_s(ramp_limit_w_per_min)


def _least_w_per_s(ramp_limit_w_per_min: float) -> float:
    return max(_LEAST_SHARE * ramp_limit_w_per_min / 60, _LEAST_W_PER_S)
