"""How much a power swings in a band of frequencies: Welch's method with a Hann window."""

import numpy as np

from pswd_edge.planning.run import Series

SEGMENT_S = 82.0
BANDS_HZ = {"slow": (0.1, 0.5), "iteration": (0.5, 2.5), "fast": (2.5, 5.0)}


def density(power_w: Series, period_s: float) -> tuple[Series, Series]:
    """Frequencies in Hz and power spectral density in W²/Hz; half overlapping segments, each less its mean.

    A series shorter than a segment is one segment. Nothing above the Nyquist frequency can be told.
    """
    size = min(len(power_w), round(SEGMENT_S / period_s))
    window = np.hanning(size)
    starts = range(0, max(1, len(power_w) - size + 1), max(1, size // 2))
    total = np.zeros(size // 2 + 1)
    for start in starts:
        part = power_w[start : start + size]
        total += np.abs(np.fft.rfft((part - part.mean()) * window)) ** 2
    scale = 2 * period_s / (window**2).sum() / len(starts)
    return np.fft.rfftfreq(size, period_s).astype(np.float64), np.asarray(total * scale, dtype=np.float64)


def rms_w(power_w: Series, period_s: float, band_hz: tuple[float, float]) -> float:
    """The root mean square of what lies in the band, W."""
    frequency, found = density(power_w, period_s)
    inside = (frequency >= band_hz[0]) & (frequency < band_hz[1])
    return float(np.sqrt(found[inside].sum() * (frequency[1] - frequency[0])))


def amplification(grid_w: Series, load_w: Series, period_s: float, band_hz: tuple[float, float]) -> float:
    """Grid over load in the band; NaN for a load that does not swing there (under 1 kW)."""
    load = rms_w(load_w, period_s, band_hz)
    return rms_w(grid_w, period_s, band_hz) / load if load > 1e3 else float("nan")
