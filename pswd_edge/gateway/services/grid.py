"""The grid: what is measured, and what the site knows by contract."""

from typing import NamedTuple

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import control_unavailable


class GridView(NamedTuple):
    """None: not known. Frequency is measured; the others are the site's facts until a live source brings them."""

    operator_id: str | None
    frequency_hz: float | None
    carbon_intensity_g_per_kwh: float | None
    renewable_percent: float | None
    price_per_mwh: float | None


class GridService:
    """Live grid facts."""

    def __init__(self, live: LiveImage) -> None:
        self._live = live

    def read(self) -> GridView:
        """The grid now; 503 where control is not alive."""
        if not self._live.alive:
            raise control_unavailable()
        return self.facts()

    def facts(self) -> GridView:
        """As `read`, also without control: the measured values are None then."""
        site = self._live.site
        grid = site.grid
        return GridView(grid.operator_id or None, self._live.value(site.control.frequency),
                        grid.carbon_intensity_g_per_kwh, grid.renewable_percent, grid.price_per_mwh)
