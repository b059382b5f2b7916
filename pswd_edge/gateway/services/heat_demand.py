"""What the heat network asks for, as it says itself at `/conditions`."""

from typing import Annotated

from msgspec import Meta, Struct

_Power = Annotated[float, Meta(ge=0.0, le=1e12)]


class HeatDemand(Struct, frozen=True):
    """The heat network's document; W. None: not told. `price_per_mwh` replaces the contract's while it is told."""

    current_request_w: _Power | None = None
    peak_forecast_w: _Power | None = None
    season: Annotated[str, Meta(max_length=60)] | None = None
    price_per_mwh: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None
