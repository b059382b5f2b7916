"""How late cycles are, how long rules take: histograms since start, cheap to feed and to read."""

import numpy as np

_BIN_MS = 0.05
_BINS = 20_000                # one second; what is longer counts in the last bin


class Histogram:
    """Durations in ms, in bins of 0.05 ms."""

    def __init__(self) -> None:
        self._bins = np.zeros(_BINS, dtype=np.int64)
        self._top = 0             # the highest bin in use: what lies above need not be summed
        self.count = 0
        self.max_ms = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration: negative (a timer fired early) is 0, infinite (an input never came) is the longest."""
        ms = max(0.0, seconds * 1e3)
        place = int(min(ms / _BIN_MS, _BINS - 1))
        self._bins[place] += 1
        self._top = max(self._top, place)
        self.count += 1
        self.max_ms = max(self.max_ms, ms)

    def percentile_ms(self, percent: float) -> float:
        """Upper edge of the bin that holds the percentile, at most 1,000; 0.0 while empty."""
        if self.count == 0:
            return 0.0
        found = int(np.searchsorted(np.cumsum(self._bins[: self._top + 1]), self.count * percent / 100))
        return min((found + 1) * _BIN_MS, self.max_ms)
