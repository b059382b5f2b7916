"""The droop part of a site file: how the batteries answer to the grid's frequency."""

from typing import Annotated

from pydantic import Field

from pswd_edge.config.form import Form, Number, Positive, Whole


class DroopForm(Form):
    """Droop; its presence switches it on. The nominal frequency is the grid's (`grid.nominal_frequency_hz`)."""

    power_max_w: Positive
    reserve_s: Annotated[Number, Field(ge=0)]
    droop_percent: Annotated[Number, Field(gt=0, le=100)] = 5.0
    deadband_hz: Annotated[Number, Field(ge=0, le=1)] = 0.036
    ramp_exempt: bool = True
    max_age_ms: Annotated[Whole, Field(gt=0)] = 500
