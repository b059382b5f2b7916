"""An excursion of the grid's frequency in words."""

from pswd_edge.control.rules.droop import CALM_S, Droop, frequency_hz, is_excursion
from pswd_edge.model.control import DroopSpec


def excursion(spec: DroopSpec | None, state: Droop) -> str:
    """What its begin or its end says to people."""
    if not is_excursion(state):
        return f"over: within the deadband for {CALM_S:g} s, or not known"
    if state.power_w == 0:
        return f"{frequency_hz(spec, state):.3f} Hz, not answered"
    verb = "give" if state.power_w > 0 else "take"
    return f"{frequency_hz(spec, state):.3f} Hz, batteries {verb} {abs(state.power_w) / 1e6:.2f} MW"
