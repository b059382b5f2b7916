"""How durations spread: the last few hundred, cheap to feed; percentiles on demand."""

_KEPT = 128                   # a power of two
_EVERY = 32                   # durations between two sortings: a thousand connections must not sort in one cycle


class Spread:
    """A ring of the newest durations in seconds; `phase` (any number) spreads the sorting of many over time.

    `percentiles_ms`: median and p99 in ms of the newest 128, up to 32 behind; 0.0 while empty.
    """

    def __init__(self, phase: int = 0) -> None:
        self._ring = [0.0] * _KEPT
        self._count = 0
        self._phase = phase % _EVERY
        self.percentiles_ms = (0.0, 0.0)

    def add(self, seconds: float) -> None:
        """One more; the oldest goes."""
        self._ring[self._count & (_KEPT - 1)] = seconds
        self._count += 1
        if self._count <= _EVERY or (self._count + self._phase) % _EVERY == 0:
            self._sort()

    def _sort(self) -> None:
        kept = sorted(self._ring[: min(self._count, _KEPT)])
        self.percentiles_ms = 1e3 * kept[len(kept) // 2], 1e3 * kept[min(len(kept) - 1, len(kept) * 99 // 100)]
