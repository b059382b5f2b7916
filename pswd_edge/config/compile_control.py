"""Control form to `ControlSpec`. Everything here is called only for a site without mistakes."""

import math
from collections.abc import Mapping

from pswd_edge.config.circuits import Circuits, compile_branches
from pswd_edge.config.compile_droop import compile_droop
from pswd_edge.config.compile_thermal import compile_thermal
from pswd_edge.config.control_form import (
    AbsorberForm,
    BatteryForm,
    ControlForm,
    InputForm,
    LoadRangeForm,
    SupervisorForm,
    TierForm,
    UpsForm,
)
from pswd_edge.model.command import Level
from pswd_edge.model.control import Absorber, BatteryControl, ControlSpec, Input, LoadController, Supervisor, Tier, Ups
from pswd_edge.model.point import Point
from pswd_edge.model.tuning import Tuning, tuned

TIER_SETPOINT = {"cap": "power_cap_w", "demand_limit": "demand_limit_percent"}
DEFAULT_REVERT_S = 12.0
LEAST_SWING_SHARE = 0.02
_AS_WRITTEN = (
    "period_ms", "input_deadline_percent", "start_mode", "auto_after_s", "ramp_limit_w_per_min", "import_limit_w",
    "delay_s", "frozen_after", "cooling_rating_w", "target_time_s", "energy_time_s", "energy_power_share",
    "shed_margin_w", "shed_fast_w", "release_after_s", "release_gap_s", "require_commissioning", "disruptive_per_s",
    "shadow", "firm_resumes", "migration_targets",
)
"""Keys of the form that the specification has too, with the same meaning and unit."""


def tuning_of(form: ControlForm) -> Tuning:
    """Corner and inner ramps for the site's delay and load range; ramps of 0 or less: impossible."""
    swing_w = form.load_range.ceiling_w - form.load_range.floor_w
    return tuned(form.ramp_limit_w_per_min, swing_w, form.delay_s, form.period_ms / 1000, form.filter_hz)


def inner_ramp_w_per_min(form: ControlForm) -> float:
    """The ramp of the reference that keeps the grid within the utility's limit, W/min; not positive: impossible."""
    return tuning_of(form).up_w_per_s * 60


def tier_setpoint_signal(tier: TierForm) -> str:
    """The signal of its device that a tier writes."""
    return TIER_SETPOINT.get(tier.action, f"outlet_command[{tier.outlet}]")


def tier_power_point(tier: TierForm) -> str:
    """The point that measures what a tier carries."""
    return tier.power or f"{tier.device}.active_power_w"


def label_value(point: Point, label: str) -> int:
    """The value that a label names. Raises KeyError."""
    return {text: value for value, text in point.labels.items()}[label]


def compile_control(form: ControlForm, points: Mapping[str, Point], devices: Mapping[str, int],
                    nominal_hz: float, circuits: Circuits) -> ControlSpec:
    """The control specification; `points` and `circuits` by id, `devices` id to index.

    `nominal_hz` is the grid's frequency.
    """
    tuning = tuning_of(form)
    limits: LoadRangeForm = form.load_range
    return ControlSpec(
        grid_power=_input(form.grid_power, points),
        load_meters=tuple(_input(meter, points) for meter in form.load_meters),
        frequency=points[form.frequency].index if form.frequency else None,
        ramp_up_w_per_s=form.ramp_up_w_per_s or tuning.up_w_per_s,
        ramp_down_w_per_s=form.ramp_down_w_per_s or tuning.down_w_per_s,
        load_floor_w=limits.floor_w,
        load_ceiling_w=limits.ceiling_w,
        load_maximum_w=limits.maximum_w,
        filter_hz=tuning.filter_hz,
        batteries=tuple(_battery(id_, b, points, devices) for id_, b in form.batteries.items()),
        tiers=tuple(_tier(tier, form, points) for tier in form.tiers),
        load_controllers=tuple(
            _load_controller(id_, c.rating_w, points, devices) for id_, c in form.load_controllers.items()
        ),
        export_limit_w=math.inf if form.export_limit_w is None else form.export_limit_w,
        predicts=form.predictor is not None,
        swing_least_w=_least_swing_w(form),
        ups=tuple(_ups(id_, points[f"{id_}.output_source"], ups) for id_, ups in form.ups.items()),
        grid_meters=tuple(_input(meter, points) for meter in form.grid_meters),
        load_substitutes=tuple(tuple(_input(m, points) for m in group) for group in form.load_substitutes),
        absorbers=tuple(_absorber(a, points) for a in form.absorbers),
        thermal=compile_thermal(form.thermal, points, tuple(form.load_controllers), [t.id for t in form.tiers]),
        supervision=tuple(_supervisor(s) for s in form.supervision),
        droop=compile_droop(form, nominal_hz),
        branches=compile_branches(form, circuits, points),
        **{name: getattr(form, name) for name in _AS_WRITTEN},
    )


def _supervisor(form: SupervisorForm) -> Supervisor:
    level = None if form.level is None else int(Level[form.level.upper()])
    return Supervisor(form.origin or form.level or "", form.origin or "", level, form.period_s, form.on_silence)


def _least_swing_w(form: ControlForm) -> float:
    """Smaller swings are left alone: 2 % of the load range where the site does not say."""
    if form.predictor is not None and form.predictor.least_swing_w is not None:
        return form.predictor.least_swing_w
    return LEAST_SWING_SHARE * (form.load_range.ceiling_w - form.load_range.floor_w)


def _input(form: InputForm, points: Mapping[str, Point]) -> Input:
    return Input(points[form.point].index, form.max_age_ms, form.latency_ms)


def _index(points: Mapping[str, Point], device: str, signal: str) -> int | None:
    point = points.get(f"{device}.{signal}")
    return None if point is None else point.index


def _battery(
    id_: str, form: BatteryForm, points: Mapping[str, Point], devices: Mapping[str, int]
) -> BatteryControl:
    state = points.get(f"{id_}.state")
    return BatteryControl(
        id=id_,
        device=devices[id_],
        soc=Input(points[form.soc or f"{id_}.soc_percent"].index, form.soc_max_age_ms, 0.0),
        power=Input(points[f"{id_}.power_w"].index, form.max_age_ms, form.latency_ms),
        setpoint=points[f"{id_}.power_setpoint_w"].index,
        capacity_wh=form.capacity_wh,
        charge_rating_w=form.charge_w,
        discharge_rating_w=form.discharge_w,
        soc_min_percent=form.soc_percent[0],
        soc_max_percent=form.soc_percent[1],
        charge_efficiency=form.efficiency[0],
        discharge_efficiency=form.efficiency[1],
        soc_age_s=form.soc_age_s,
        heartbeat_s=form.heartbeat_s,
        state=state.index if state else None,
        available_states=tuple(label_value(state, label) for label in form.available_states) if state else (),
        mode=_mode(id_, points),
        enable=_index(points, id_, "enable"),
        heartbeat=_index(points, id_, "heartbeat"),
        revert_timeout=_index(points, id_, "revert_timeout_s"),
        charge_limit=_index(points, id_, "charge_limit_w"),
        discharge_limit=_index(points, id_, "discharge_limit_w"),
        temperature=_index(points, id_, "temperature_c"),
        soc_resolution_percent=form.soc_resolution_percent,
        soc_other=Input(points[form.soc_other].index, form.soc_max_age_ms) if form.soc_other else None,
        derating=tuple((float(t), float(share)) for t, share in form.derating),
    )


def _ups(id_: str, source: Point, form: UpsForm) -> Ups:
    return Ups(source.index, tuple(label_value(source, label) for label in form.on_battery), id_,
               form.when_lost == "bar")


def _mode(battery: str, points: Mapping[str, Point]) -> int | None:
    """The writable point that says what a set-point counts in, where 1 means W (SunSpec 704.WSetMod)."""
    point = points.get(f"{battery}.setpoint_mode")
    return point.index if point and point.write and point.labels.get(1) == "watts" else None


def _tier(tier: TierForm, form: ControlForm, points: Mapping[str, Point]) -> Tier:
    setpoint = points[f"{tier.device}.{tier_setpoint_signal(tier)}"]
    engaged, released = _tier_values(tier, form, setpoint)
    return Tier(
        id=tier.id,
        action=tier.action,
        setpoint=setpoint.index,
        power=points[tier_power_point(tier)].index,
        engaged_value=engaged,
        released_value=released,
        floor_w=tier.floor_w,
        min_on_s=tier.min_on_s,
        min_off_s=tier.min_off_s,
        actuation_s=tier.actuation_s,
        max_events_per_h=tier.max_events_per_h,
        read_back=setpoint.write.read_back if setpoint.write else None,
        shown=(_shown(setpoint, engaged), _shown(setpoint, released)),
        tolerance=setpoint.write.tolerance if setpoint.write else 0.0,
    )


def _shown(setpoint: Point, value: float) -> float:
    """What the read-back shows of a value that was written."""
    coded = setpoint.write.read_back_values if setpoint.write else {}
    return float(coded.get(int(value), value)) if coded else value


def _absorber(form: AbsorberForm, points: Mapping[str, Point]) -> Absorber:
    return Absorber(form.id, points[form.setpoint].index, points[form.power].index, form.maximum_w, form.actuation_s)


def _tier_values(tier: TierForm, form: ControlForm, setpoint: Point) -> tuple[float, float]:
    """What is written to engage and to release a tier; an outlet's values are named by its labels off and on."""
    if tier.action == "cap":
        return tier.floor_w, form.load_controllers[tier.device].rating_w
    if tier.action == "demand_limit":
        assert tier.engaged_percent is not None, "checked with the references"
        return tier.engaged_percent, tier.released_percent
    return float(label_value(setpoint, "off")), float(label_value(setpoint, "on"))


def _load_controller(
    id_: str, rating_w: float, points: Mapping[str, Point], devices: Mapping[str, int]
) -> LoadController:
    return LoadController(
        id=id_,
        device=devices[id_],
        cap=points[f"{id_}.power_cap_w"].index,
        power=points[f"{id_}.active_power_w"].index,
        rating_w=rating_w,
        run_command=_index(points, id_, "run_command"),
        temperature=_index(points, id_, "temperature_c"),
        progress=_index(points, id_, "progress_percent"),
    )
