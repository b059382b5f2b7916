"""Coolers that are to be ready for heat by request, and for how long."""

from pswd_edge.control.holds import HeldHeat
from pswd_edge.model.command import Clamped, Outcome, PrepareCooling


class Readiness:
    """One request a cooler: the newest."""

    def __init__(self) -> None:
        self._held: dict[str, HeldHeat] = {}

    def take(self, request: PrepareCooling, outcome: Outcome, began_s: float) -> None:
        """Bring a request that was taken at `began_s` (monotonic) into force, as it was granted."""
        self._held.pop(request.cooler, None)
        if request.heat_w is not None:
            heat_w = outcome.value if isinstance(outcome, Clamped) else request.heat_w
            self._held[request.cooler] = HeldHeat(heat_w, request.origin, began_s + request.ttl_s)

    def expire(self, now_s: float) -> list[str]:
        """Let go of what has run out; returns a sentence for each."""
        over = [cooler for cooler, held in self._held.items() if now_s >= held.until_s]
        return [f"cooling of {i} made ready by {self._held.pop(i).origin} expired" for i in over]

    @property
    def heat_w(self) -> dict[str, float]:
        """What coolers are to be ready for, W, by cooler id."""
        return {cooler: held.heat_w for cooler, held in self._held.items()}
