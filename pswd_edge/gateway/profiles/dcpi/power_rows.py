"""Measurements as DCPI writes them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pswd_edge.gateway.projection import present
from pswd_edge.gateway.services.power import PowerSeries
from pswd_edge.gateway.services.row_encoding import rounded

_DIVISOR = np.array([1e6, 1.0, 1.0, 1.0])       # load, voltage, current, frequency
_DIGITS = np.array([6.0, 2.0, 2.0, 4.0])
_GRID = (3, 4, 0)                               # of services.power_columns.PowerQuality


class DcpiRows:
    """The rows of `measurements`; five minutes of the usual resolutions."""

    intervals_ms = (100, 200, 250, 500, 1000)
    kept_s = 300

    def numbers(self, series: PowerSeries) -> NDArray[np.float64]:
        """Load in MW, voltage in V, current in A, frequency in Hz."""
        return rounded(np.column_stack([series.total_w, series.quality[:, _GRID]]), _DIVISOR, _DIGITS)

    def row(self, time: str, numbers: Sequence[Any], circuit_ids: Sequence[str]) -> dict[str, Any]:  # noqa: ARG002
        """One measurement."""
        power_mw, voltage_v, current_a, frequency_hz = numbers
        return present({"timestamp": time, "power_mw": power_mw, "voltage_v": voltage_v, "current_a": current_a,
                        "frequency_hz": frequency_hz})
