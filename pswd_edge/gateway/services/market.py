"""What the grid operator tells of its grid: the form of its document."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Stability = Literal["normal", "alert", "emergency"]
STABILITIES: tuple[Stability, ...] = ("normal", "alert", "emergency")
Power = Annotated[float, Meta(ge=0.0, le=1e13)]
Price = Annotated[float, Meta(ge=-1e6, le=1e6)]
Percent = Annotated[float, Meta(ge=0.0, le=100.0)]


class Renewables(Struct, frozen=True):
    """Renewable generation by source, W; None: not told."""

    wind_w: Power | None = None
    solar_w: Power | None = None
    hydro_w: Power | None = None
    other_w: Power | None = None

    @property
    def total_w(self) -> float | None:
        """The sum of what is told; None where nothing is."""
        told = [w for w in (self.wind_w, self.solar_w, self.hydro_w, self.other_w) if w is not None]
        return sum(told) if told else None


class GridConditions(Struct, frozen=True):
    """The operator's document; None: not told. Prices per MWh; `peak`: a time of peak prices or peak load."""

    operator_id: Annotated[str, Meta(max_length=200)] | None = None
    carbon_intensity_g_per_kwh: Annotated[float, Meta(ge=0.0, le=5000.0)] | None = None
    renewables: Renewables = Renewables()
    renewable_percent: Percent | None = None
    price_per_mwh: Price | None = None
    next_hour_price_per_mwh: Price | None = None
    peak: bool | None = None
    stability: Stability | None = None
