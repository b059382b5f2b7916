"""What PSWD says about the grid."""

from pswd_edge.gateway.profiles.pswd.answer_fields import Answer, NotNegative, Percent, Time, ToTen


class GridStatus(Answer):
    """The grid as it is measured, and what is known of it."""

    grid_operator_id: str | None = None
    carbon_intensity_g_co2_kwh: NotNegative | None = None
    renewable_energy_percent: Percent | None = None
    grid_frequency_hz: float | None = None
    demand_response_active: bool | None = None
    market_price_per_mwh: float | None = None
    grid_stability_index: ToTen | None = None
    timestamp: Time
