"""What a command needs beyond its type: the contract has every target optional. Pure."""

from collections.abc import Sequence
from typing import TypeVar

from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.validation import invalid

_T = TypeVar("_T")


def needed(found: _T | None, name: str, command: str) -> _T:
    """The target of a command; raises 400 where it is left out."""
    if found is None:
        raise invalid([f"{name}: got nothing: expected a value with command_type {command}"])
    return found


def settable(points: Sequence[int], what: str) -> Sequence[int]:
    """The set-points of a command; raises 409 where the site has none of them."""
    if not points:
        raise RefusalError(409, "SETPOINT_UNAVAILABLE", f"this site has no {what} that can be set")
    return points
