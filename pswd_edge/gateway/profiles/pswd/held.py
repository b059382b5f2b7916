"""Answers to commands that hold set-points, in PSWD's words. Pure."""

from collections.abc import Sequence
from typing import Any

from pswd_edge.gateway.projection import moment, present, scaled
from pswd_edge.gateway.services.cooling import Moved
from pswd_edge.model.point import Point


def held(moved: Sequence[Moved], points: Sequence[Point]) -> dict[str, Any]:
    """What bound the command, when it is there, until when it holds, and each set-point of it.

    Of several set-points the first that was bound tells what by; the last one to arrive tells when.
    """
    bound = next((m for m in moved if m.limit), None) or next((m for m in moved if m.message), None)
    return {
        "limit": (bound.limit or None) if bound else None,
        "message": (bound.message or None) if bound else None,
        "eta_sec": scaled(max((m.eta_s for m in moved if m.eta_s is not None), default=None), 1, 1),
        "expires_at": moment(min((m.expires_utc_s for m in moved if m.expires_utc_s is not None), default=None)),
        "set_points": [present({
            "set_point": points[m.move.point].id, "status": m.progress, "value": scaled(m.value, 1, 4),
            "limit": m.limit or None, "message": m.message or None}) for m in moved],
    }
