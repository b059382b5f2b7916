"""What the batteries below a circuit may give and take, and what they must give to relieve it."""

from collections.abc import Sequence

from pswd_edge.control.rules.allocate import Battery
from pswd_edge.control.rules.circuits import KEPT_SHARE, BranchState, is_guarded
from pswd_edge.model.control import Branch, ControlSpec


def narrowed(spec: ControlSpec, states: Sequence[BranchState], fleet: Sequence[Battery]) -> list[Battery]:
    """The batteries within their circuits: no sum of what they may do takes a branch over its rating.

    Only what is available now is narrowed, not the ratings: when the load below a branch falls, the room is there. A
    branch over its rating by its load asks the batteries below for what is above it.
    """
    after = list(fleet)
    for branch, state in zip(spec.branches, states, strict=True):
        if branch.batteries and is_guarded(branch):
            _within(after, branch.batteries, *_room_w(branch, state))
    for branch, state in zip(spec.branches, states, strict=True):
        wanted_w = state.load_w - KEPT_SHARE * branch.rating_w
        if state.known and wanted_w > 0:
            _relieving(after, [i for i in branch.batteries if after[i].usable], wanted_w)
    return after


def _room_w(branch: Branch, state: BranchState) -> tuple[float, float]:
    """What batteries below may charge and discharge together, W.

    Where the branch is not known they charge no more than they did when it was, and discharge as if nothing else drew
    from it. What a swing of the load brings again and again is kept free: charging in its trough would meet its peak,
    as batteries are later than loads. A load that fell for good leaves its room.
    """
    kept_w = KEPT_SHARE * branch.rating_w
    if not state.known:
        return state.charge_w, kept_w
    return max(0.0, kept_w - max(state.load_w, state.peak_w)), max(0.0, kept_w + state.load_w)


def _within(after: list[Battery], below: Sequence[int], charge_w: float, discharge_w: float) -> None:
    """Scale what they may charge and discharge down to these sums; those that are not usable have zeros."""
    charges_w = sum([after[i].charge_available_w for i in below])
    discharges_w = sum([after[i].discharge_available_w for i in below])
    if charges_w <= charge_w and discharges_w <= discharge_w:
        return
    charge = charge_w / charges_w if charges_w > charge_w else 1.0
    discharge = discharge_w / discharges_w if discharges_w > discharge_w else 1.0
    for i in below:
        after[i] = after[i]._replace(charge_available_w=charge * after[i].charge_available_w,
                                     discharge_available_w=discharge * after[i].discharge_available_w)


def _relieving(after: list[Battery], able: Sequence[int], wanted_w: float) -> None:
    """Have them give this at least, as far as they can, in proportion to what each has left."""
    missing_w = wanted_w - sum([after[i].relief_w for i in able])
    left = [max(0.0, after[i].discharge_available_w - after[i].relief_w) for i in able]
    if missing_w > 0 and sum(left) > 0:
        part = min(1.0, missing_w / sum(left))
        for i, w in zip(able, left, strict=True):
            after[i] = after[i]._replace(relief_w=after[i].relief_w + part * w)
