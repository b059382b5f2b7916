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
        able = [i for i in branch.batteries if after[i].usable]
        if able and is_guarded(branch):
            _within(after, able, *_room_w(branch, state))
    for branch, state in zip(spec.branches, states, strict=True):
        able = [i for i in branch.batteries if after[i].usable]
        if able and state.known:
            _relieving(after, able, state.load_w - KEPT_SHARE * branch.rating_w)
    return after


def _room_w(branch: Branch, state: BranchState) -> tuple[float, float]:
    """What batteries below may charge and discharge together, W.

    Where the branch is not known they charge no more than they did when it was, and discharge as if nothing else drew
    from it.
    """
    kept_w = KEPT_SHARE * branch.rating_w
    if not state.known:
        return state.charge_w, kept_w
    return max(0.0, kept_w - state.load_w), max(0.0, kept_w + state.load_w)


def _within(after: list[Battery], able: Sequence[int], charge_w: float, discharge_w: float) -> None:
    """Scale what they may charge and discharge down to these sums."""
    charge = _scale([after[i].charge_available_w for i in able], charge_w)
    discharge = _scale([after[i].discharge_available_w for i in able], discharge_w)
    if charge < 1 or discharge < 1:
        for i in able:
            after[i] = after[i]._replace(charge_available_w=charge * after[i].charge_available_w,
                                         discharge_available_w=discharge * after[i].discharge_available_w)


def _scale(powers_w: Sequence[float], most_w: float) -> float:
    total_w = sum(powers_w)
    return most_w / total_w if total_w > most_w else 1.0


def _relieving(after: list[Battery], able: Sequence[int], wanted_w: float) -> None:
    """Have them give this at least, as far as they can, in proportion to what each has left."""
    missing_w = wanted_w - sum([after[i].relief_w for i in able])
    left = [max(0.0, after[i].discharge_available_w - after[i].relief_w) for i in able]
    if missing_w > 0 and sum(left) > 0:
        part = min(1.0, missing_w / sum(left))
        for i, w in zip(able, left, strict=True):
            after[i] = after[i]._replace(relief_w=after[i].relief_w + part * w)
