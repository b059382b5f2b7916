"""The reference site under a load of somebody's own, scaled to nothing: what the trace says is what is drawn."""

from msgspec.structs import replace

from pswd_edge.model.tuning import tuned
from pswd_edge.planning.run import Series
from pswd_edge.replay.loop import Case
from pswd_edge.replay.scenarios import store
from pswd_edge.replay.site import MW, RAMP_W_PER_MIN, reference_spec


def reference_case(name: str, load_w: Series, soc: float, *, predicts: bool) -> Case:
    """A load range that just holds the trace; everything else as on the reference site."""
    low, high = float(load_w.min()), max(float(load_w.max()), float(load_w.min()) + MW)
    spec = reference_spec()
    tuning = tuned(RAMP_W_PER_MIN, high - low, spec.delay_s, spec.period_ms / 1000)
    if tuning.up_w_per_s > 0:
        spec = replace(spec, ramp_up_w_per_s=tuning.up_w_per_s, ramp_down_w_per_s=tuning.down_w_per_s)
    spec = replace(spec, load_floor_w=low, load_ceiling_w=high, load_maximum_w=1.2 * high, import_limit_w=1.2 * high,
                   predicts=predicts, swing_least_w=0.02 * (high - low))
    return Case(name, spec, 0.0 * load_w, load_w, [store(b, spec.delay_s, soc) for b in spec.batteries])
