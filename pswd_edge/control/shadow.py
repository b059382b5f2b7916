"""Shadow mode: the law decides on live inputs as in AUTO, and nothing is written. Pure.

What the batteries really do is somebody else's decision. The state that goes on is therefore that of OBSERVE, whose
reference follows what is measured; the decision that is shown is the one that AUTO makes from that state: what would be
written now if control took over in this cycle. Nothing is remembered of set-points and tiers that were not written.
"""

from pswd_edge.control.rules import law
from pswd_edge.model.command import (
    Announce,
    Commission,
    ControlWorkload,
    Mode,
    PrepareCooling,
    Request,
    SetBatteryTarget,
    SetPoint,
)
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.snapshot import Snapshot

REFUSED = "shadow mode: control decides and writes nothing, so that this would not be done"
_ACTING = Announce | Commission | ControlWorkload | PrepareCooling | SetBatteryTarget | SetPoint


def decided(
    spec: ControlSpec, state: law.LawState, snapshot: Snapshot, orders: law.Orders, dt_s: float
) -> tuple[law.LawState, law.LawState, law.Decision]:
    """One cycle of the law: the state that goes on, the state that is shown, and the decision."""
    if not spec.shadow:
        after, decision = law.cycle(spec, state, snapshot, orders, dt_s)
        return after, after, decision
    observed, _ = law.cycle(spec, state, snapshot, orders._replace(mode=Mode.OBSERVE), dt_s)
    shown, decision = law.cycle(spec, state, snapshot, orders, dt_s)
    shed = observed.shed._replace(short_cycles=shown.shed.short_cycles)
    return observed._replace(shed=shed), shown, decision


def mode_of(spec: ControlSpec, mode: Mode) -> Mode:
    """The mode that is decided in: a shadow that only observed would show nothing."""
    return Mode.AUTO if spec.shadow and mode is Mode.OBSERVE else mode


def refuses(spec: ControlSpec, request: Request) -> bool:
    """Whether a request would have to be written to be true."""
    return spec.shadow and isinstance(request, _ACTING)
