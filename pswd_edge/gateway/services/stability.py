"""How stable the grid is, from its frequency alone: how far it is from nominal, and how fast it moves. Pure."""

from collections.abc import Sequence

from pswd_edge.gateway.services.market import Stability

CALM_HZ, WORST_HZ = 0.02, 0.5       # deviation: up to the first it is ordinary, from the second on it is the worst
WORST_HZ_PER_S = 0.5                # rate of change
WINDOW_S = 10.0
_LEAST = 3                          # looks, for a rate of change
_NORMAL_FROM, _ALERT_FROM = 7.0, 4.0


def stability_index(looks: Sequence[tuple[float, float]], nominal_hz: float) -> float | None:
    """10 calm, 0 the worst; the worse of deviation and rate of change counts. `looks`: (s, Hz) of the last 10 s.

    10 * (1 - max(clip((|f - f0| - 0.02) / 0.48), clip(|df/dt| / 0.5))); None without a frequency.
    """
    if not looks:
        return None
    mean_hz = sum(hz for _, hz in looks) / len(looks)
    away = (abs(mean_hz - nominal_hz) - CALM_HZ) / (WORST_HZ - CALM_HZ)
    moving = abs(_slope_hz_per_s(looks)) / WORST_HZ_PER_S
    return 10.0 * (1.0 - min(1.0, max(0.0, away, moving)))


def _slope_hz_per_s(looks: Sequence[tuple[float, float]]) -> float:
    """Least squares; 0 where too little has been seen."""
    if len(looks) < _LEAST:
        return 0.0
    mean_s, mean_hz = (sum(values) / len(looks) for values in zip(*looks, strict=True))
    spread = sum((s - mean_s) ** 2 for s, _ in looks)
    return sum((s - mean_s) * (hz - mean_hz) for s, hz in looks) / spread if spread > 0 else 0.0


def stability_of(index: float | None) -> Stability | None:
    """The index in a word."""
    if index is None:
        return None
    return "normal" if index >= _NORMAL_FROM else "alert" if index >= _ALERT_FROM else "emergency"
