"""Measurements as PSWD writes them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pswd_edge.gateway.projection import present
from pswd_edge.gateway.services.power import PowerSeries
from pswd_edge.gateway.services.row_encoding import rounded

_DIVISOR = np.array([1e6, 1.0, 1.0, 1.0])       # total, distortion, power factor, voltage stability
_DIGITS = np.array([6.0, 3.0, 4.0, 3.0])
_QUALITY = (1, 2, 5)                            # of services.power_columns.PowerQuality


class PswdRows:
    """The rows of PowerMeasurement, an hour of each resolution."""

    intervals_ms = (100, 250, 500, 1000)
    kept_s = 3600

    def numbers(self, series: PowerSeries) -> NDArray[np.float64]:
        """Total in MW, distortion in %, power factor, voltage stability in %; circuits in MW."""
        circuits = np.full(len(series.circuit_ids), 1e6)
        return rounded(np.column_stack([series.total_w, series.quality[:, _QUALITY], series.circuits_w]),
                       np.concatenate([_DIVISOR, circuits]), np.concatenate([_DIGITS, np.full(len(circuits), 6.0)]))

    def row(self, time: str, numbers: Sequence[Any], circuit_ids: Sequence[str]) -> dict[str, Any]:
        """One measurement."""
        total_mw, thd_percent, factor, stability, *circuits = numbers
        quality = present({"thd_percent": thd_percent, "power_factor": factor, "voltage_stability": stability})
        known = [{"circuit_id": name, "power_mw": power_mw}
                 for name, power_mw in zip(circuit_ids, circuits, strict=True) if power_mw is not None]
        return present({"timestamp": time, "total_power_mw": total_mw, "power_quality": quality or None,
                        "circuit_breakdown": known or None})
