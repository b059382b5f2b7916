"""The part of a site file that the control loop needs."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from pswd_edge.config.droop_form import DroopForm
from pswd_edge.config.form import Form, Id, NotNegative, Number, Percent, PointId, Positive, Text, Whole
from pswd_edge.config.thermal_form import ThermalForm
from pswd_edge.model.control import OnSilence, TierAction

Efficiency = Annotated[Number, Field(gt=0, le=1)]
Age = Annotated[Whole, Field(gt=0)]


class InputForm(Form):
    """A control input: the point, the age at which it can no longer be used, the device's own delay."""

    point: PointId
    max_age_ms: Age = 500
    latency_ms: NotNegative = 0.0


def _point_alone(value: Any) -> Any:
    return {"point": value} if isinstance(value, str) else value


Input = Annotated[InputForm, BeforeValidator(_point_alone, json_schema_input_type=PointId | InputForm)]


class LoadRangeForm(Form):
    """The guaranteed range of the load without announcements, and the most that it can physically draw."""

    floor_w: NotNegative
    ceiling_w: Positive
    maximum_w: Positive


class BatteryForm(Form):
    """One battery; efficiency is [charge, discharge]."""

    capacity_wh: Positive
    charge_w: Positive
    discharge_w: Positive
    soc_percent: tuple[Percent, Percent] = (10.0, 90.0)
    efficiency: tuple[Efficiency, Efficiency] = (0.96, 0.96)
    available_states: tuple[Text, ...] = Field((), description="labels of `state` in which it takes a set-point")
    revert_s: NotNegative | None = Field(None, description="the time to fall back that is written to the device")
    heartbeat_s: Positive = 1.0
    max_age_ms: Age = Field(500, description="of its power")
    latency_ms: NotNegative = 0.0
    soc_max_age_ms: Age = 5000
    soc_age_s: NotNegative = 1.0
    soc: PointId | None = Field(None, description="SoC of another device, where the battery's own map has none")
    soc_other: PointId | None = Field(None, description="a second register of the same SoC; the worse of both counts")
    soc_resolution_percent: Annotated[Number, Field(ge=0, le=5)] | None = Field(
        None, description="the step of the SoC register; learnt from its values where it is not given")
    circuit: Text | None = None
    derating: tuple[tuple[Number, Annotated[Number, Field(ge=0, le=1)]], ...] = Field(
        (), description="[temperature in degrees C, share of the ratings], the colder first; straight in between")


class LoadControllerForm(Form):
    """A rack power controller and its uncapped power."""

    rating_w: Positive
    circuit: Text | None = None


class TierForm(Form):
    """A load that may be shed. `action` decides which of the keys it needs.

    cap: `floor_w`. outlet: `outlet`. demand_limit: `engaged_percent`. `power` is the point that measures what it
    carries, where that is not the device's own active_power_w.
    """

    id: Id
    action: TierAction
    device: Text
    floor_w: NotNegative = 0.0
    outlet: Annotated[Whole, Field(ge=1)] | None = None
    engaged_percent: Percent | None = None
    released_percent: Percent = 100.0
    power: PointId | None = None
    min_on_s: NotNegative = 30.0
    min_off_s: NotNegative = 30.0
    actuation_s: NotNegative = 2.0
    max_events_per_h: Annotated[Whole, Field(ge=1)] = 20
    circuit: Text | None = None


class AbsorberForm(Form):
    """A load that can be added: a load bank, a burner. It draws what its set-point says."""

    id: Id
    setpoint: PointId = Field(description="takes the power that it shall draw, W")
    power: PointId = Field(description="measures what it draws; part of the load that `load_meters` measure")
    maximum_w: Positive
    actuation_s: NotNegative = 2.0


class EffectForm(Form):
    """The meter that shows what a write does, where that is none of the device's own."""

    point: PointId
    tolerance: Positive
    within_s: Positive = 10.0


class PredictorForm(Form):
    """The batteries follow the predicted swing of the load; its presence switches it on."""

    least_swing_w: NotNegative | None = None


class UpsForm(Form):
    """A UPS; `on_battery` are the labels of its `output_source` with which it lives on its store.

    `when_lost`: while it does not answer, batteries do not restore their energy ("hold"), or do not charge ("bar").
    """

    on_battery: tuple[Text, ...] = Field(min_length=1)
    when_lost: Literal["hold", "bar"] = "hold"


class SupervisorForm(Form):
    """Who must be heard at least every `period_s` while it holds something; known by `origin` or by `level`."""

    origin: Text | None = Field(None, description="of its requests: api:<user>, operator:<user>")
    level: Literal["operator", "api"] | None = Field(None, description="all that comes by that socket together")
    period_s: Annotated[Number, Field(ge=1, le=86400)]
    on_silence: OnSilence = "release"


class ControlForm(Form):
    """The control loop; `filter_hz`, `ramp_up_w_per_s`, `ramp_down_w_per_s` are computed where they are not given."""

    period_ms: Annotated[Whole, Field(ge=10, le=1000)] = 100
    input_deadline_percent: Annotated[Whole, Field(ge=10, le=90)] = 60
    start_mode: Literal["observe", "auto"] = "observe"
    auto_after_s: NotNegative = 5.0
    grid_power: Input
    load_meters: tuple[Input, ...] = Field(min_length=1)
    frequency: PointId | None = None
    ramp_limit_w_per_min: Positive
    ramp_up_w_per_s: Positive | None = None
    ramp_down_w_per_s: Positive | None = None
    import_limit_w: Positive
    load_range: LoadRangeForm
    delay_s: NotNegative
    filter_hz: Positive | None = None
    frozen_after: Annotated[Whole, Field(ge=0)] = 20
    batteries: dict[Text, BatteryForm] = Field(default_factory=dict)
    load_controllers: dict[Text, LoadControllerForm] = Field(default_factory=dict)
    tiers: tuple[TierForm, ...] = ()
    cooling_rating_w: Positive
    target_time_s: Positive = 60.0
    energy_time_s: Positive = 300.0
    energy_power_share: Annotated[Number, Field(gt=0, le=1)] = 0.02
    shed_margin_w: NotNegative = 0.5e6
    shed_fast_w: NotNegative = 5e6
    release_after_s: NotNegative = 30.0
    release_gap_s: NotNegative = 10.0
    require_commissioning: bool = True
    disruptive_per_s: Annotated[Whole, Field(ge=1, le=100)] = 2
    export_limit_w: NotNegative | None = None
    predictor: PredictorForm | None = None
    ups: dict[Text, UpsForm] = Field(default_factory=dict)
    grid_meters: tuple[Input, ...] = ()
    load_substitutes: tuple[tuple[Input, ...], ...] = ()
    shadow: bool = False
    firm_resumes: bool = False
    migration_targets: tuple[Text, ...] = ()
    effects: dict[PointId, EffectForm] = Field(default_factory=dict)
    thermal: ThermalForm | None = None
    supervision: tuple[SupervisorForm, ...] = ()
    droop: DroopForm | None = None
    absorbers: tuple[AbsorberForm, ...] = Field((), description="what takes a surplus, in this order")
