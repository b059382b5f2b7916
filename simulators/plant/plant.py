"""The campus: loads, cooling, batteries and meters, advanced together. No sockets, no clock of its own."""

import math
import random
from collections.abc import Callable, Mapping
from functools import partial

from simulators.loads import InferenceLoad, LoadShape
from simulators.plant.battery import Battery
from simulators.plant.cooling import Cdu, Chiller, HeatExchanger
from simulators.plant.job import Job
from simulators.plant.meter import Meter
from simulators.plant.rack import Rack
from simulators.plant.spec import PlantSpec
from simulators.plant.strips import Pdu, Ups

_SLOW_S = 0.1
_IT_VAR_PER_W = 0.2          # power factor 0.98
_COOLING_VAR_PER_W = 0.54    # power factor 0.88
_FREQUENCY_TAU_S = 20.0
_VOLTAGE_DEVIATION = 0.003
_FEEDERS = ("feeder-a", "feeder-b")


class Plant:
    """Everything that is physical, by seed.

    Powers in W: load and grid import positive, battery discharge positive;
    `true_grid_w == true_load_w - true_battery_w` after every step.
    Devices are known by their ids of `config/demo.yaml`, values by the standard signal names, in SI.
    """

    def __init__(self, spec: PlantSpec, seed: int) -> None:
        rng = random.Random(seed)
        self.spec = spec
        self.time_s = 0.0
        self.true_load_w = self.true_grid_w = self.true_battery_w = 0.0
        self.batteries = {b.id: Battery(b, random.Random(rng.getrandbits(64))) for b in spec.batteries}
        self.racks = {r.id: Rack(r) for r in spec.racks}
        self.pdus = {p.id: Pdu(p) for p in spec.pdus}
        self._ups = Ups()
        self._inference = InferenceLoad(random.Random(rng.getrandbits(64)), spec.noise_scale)
        self._rng = random.Random(rng.getrandbits(64))
        self._jobs: dict[str, Job] = {}
        self._build_cooling()
        self._build_meters()
        self._build_surface()
        self._slow_due_s = 0.0
        self._frequency_off_hz = self._voltage_off = 0.0
        self._measure(1e-9)

    def _build_cooling(self) -> None:
        spec = self.spec.cooling
        self._cdus = {c.id: Cdu(c) for c in self.spec.cdus}
        self._chiller = Chiller(spec)
        self._exchanger = HeatExchanger(spec.heat_reuse_share)
        halls_w = {f: sum(r.spec.idle_w for r in self.racks.values() if r.spec.feeder == f) for f in _FEEDERS}
        it_w = sum(self.spec.inference_w) + sum(p.total_w for p in self.pdus.values()) + sum(halls_w.values())
        self._cooled_w = it_w
        settle_s = 1e9
        for cdu in self._cdus.values():
            cdu.advance(halls_w[cdu.spec.feeder], 0.0, settle_s)
        self._exchanger.advance(sum(c.heat_w for c in self._cdus.values()), settle_s)
        self._chiller.advance(self._chiller_need_w(), settle_s)
        self._cooling_w = self._cooling_power_w()

    def _build_meters(self) -> None:
        volt = self.spec.voltage_v
        self._feeders = {f: Meter(70e6, volt, _IT_VAR_PER_W) for f in _FEEDERS}
        self._feeder_cool = Meter(25e6, volt, _COOLING_VAR_PER_W)
        self._pcc = Meter(140e6, volt, 0.0)
        self._halls = tuple(
            (
                meter,
                self.spec.inference_w[i],
                tuple(r for r in self.racks.values() if r.spec.feeder == feeder),
                tuple(p for p in self.pdus.values() if p.spec.feeder == feeder),
            )
            for i, (feeder, meter) in enumerate(self._feeders.items())
        )

    def _build_surface(self) -> None:
        actuated: dict[str, Battery | Rack | Cdu | Pdu | Chiller | HeatExchanger] = {
            **self.batteries, **self.racks, **self._cdus, **self.pdus,
            "chiller-1": self._chiller, "hx-1": self._exchanger,
        }
        self._taking = {device_id: device.write for device_id, device in actuated.items()}
        self._shown: dict[str, Callable[[], Mapping[str, float]]] = {
            "pcc": self._pcc_signals, "ups-1": self._ups.signals,
            **{device_id: device.signals for device_id, device in actuated.items()},
        }
        for meter_id, meter in (*self._feeders.items(), ("feeder-cool", self._feeder_cool)):
            self._shown[meter_id] = partial(self._show_feeder, meter)

    # -- advancing

    def step(self, dt_s: float) -> None:
        """Advance by `dt_s` (10 ms is meant; up to 100 ms keeps the physics)."""
        self.time_s = time_s = self.time_s + dt_s
        racks = self.racks.values()
        for rack in racks:
            rack.demand_w = 0.0
        for job in self._jobs.values():
            job.demand(time_s, dt_s)
        for rack in racks:
            rack.step(time_s, dt_s)
        for battery in self.batteries.values():
            battery.step(time_s, dt_s)
        if time_s >= self._slow_due_s - 1e-9:
            self._advance_slow(_SLOW_S)
            self._slow_due_s = time_s + _SLOW_S
        for pdu in self.pdus.values():
            if pdu.power_w < pdu.total_w:
                pdu.count_unserved(dt_s)
        self._measure(dt_s)

    def _measure(self, dt_s: float) -> None:
        share = self._inference.power_share(self.time_s, dt_s)
        load_w = self._cooling_w
        for meter, inference_w, racks, pdus in self._halls:
            hall_w = share * inference_w
            for rack in racks:
                hall_w += rack.power_w
            for pdu in pdus:
                hall_w += pdu.power_w
            meter.step(hall_w, dt_s)
            load_w += hall_w
        self._feeder_cool.step(self._cooling_w, dt_s)
        self._ups.power_w = self.spec.ups_share * share * sum(self.spec.inference_w)
        battery_w = 0.0
        for battery in self.batteries.values():
            battery_w += battery.power_w
        self.true_load_w = load_w
        self.true_battery_w = battery_w
        self.true_grid_w = load_w - battery_w
        self._pcc.step(self.true_grid_w, dt_s)

    def _advance_slow(self, dt_s: float) -> None:
        it_w = sum(meter.power_w for meter in self._feeders.values())
        self._cooled_w += (it_w - self._cooled_w) * (1.0 - math.exp(-dt_s / self.spec.cooling.tau_s))
        for cdu in self._cdus.values():
            racks_w = sum(r.power_w for r in self.racks.values() if r.spec.feeder == cdu.spec.feeder)
            cdu.advance(racks_w, self._chiller.shortfall, dt_s)
        self._exchanger.advance(sum(c.heat_w for c in self._cdus.values()), dt_s)
        self._chiller.advance(self._chiller_need_w(), dt_s)
        self._cooling_w = self._cooling_power_w()
        for battery in self.batteries.values():
            battery.warm(dt_s)
        for rack in self.racks.values():
            rack.warm(dt_s)
        self._wander(dt_s)

    def _chiller_need_w(self) -> float:
        cooling = self.spec.cooling
        reused = min(1.0, self._exchanger.heat_w / self._cooled_w)
        return self._cooled_w * cooling.power_share * cooling.chiller_share * (1.0 - reused)

    def _cooling_power_w(self) -> float:
        cooling = self.spec.cooling
        pumps_w = self._cooled_w * cooling.power_share * (1.0 - cooling.chiller_share)
        return pumps_w + self._chiller.power_w

    def _wander(self, dt_s: float) -> None:
        keep = math.exp(-dt_s / _FREQUENCY_TAU_S)
        push = math.sqrt(1.0 - keep * keep) * self.spec.noise_scale
        gauss = self._rng.gauss
        self._frequency_off_hz = keep * self._frequency_off_hz + gauss(0.0, push * self.spec.frequency_deviation_hz)
        self._voltage_off = keep * self._voltage_off + gauss(0.0, push * _VOLTAGE_DEVIATION)

    # -- jobs and faults

    def start_job(
        self, job_id: str, load: LoadShape, peaks_w: Mapping[str, float], duration_s: float = math.inf
    ) -> None:
        """Let a job draw `load` times `peaks_w` (rack id to W) from the next step on; a job of that id is replaced.

        `duration_s` at full power makes 100 % of progress. Raises KeyError for an unknown rack.
        """
        peaks = {self.racks[rack_id]: peak_w for rack_id, peak_w in peaks_w.items()}
        for rack in peaks:
            rack.begin(duration_s)
        self._jobs[job_id] = Job(load, peaks)

    def end_job(self, job_id: str) -> None:
        """Its racks fall back to idle; does nothing where there is no such job."""
        self._jobs.pop(job_id, None)

    def fault(self, device_id: str, name: str, active: bool) -> None:
        """Switch a physical fault: a battery's contactor_open, local_mode or lagging, a CDU's leak or pump_lost.

        Raises ValueError for another.
        """
        if device_id in self.batteries:
            self.batteries[device_id].fault(name, self.time_s, active=active)
        elif device_id in self._cdus and name == "leak":
            self._cdus[device_id].leaking = active
        elif device_id in self._cdus and name == "pump_lost":
            self._cdus[device_id].pump_lost = active
        else:
            raise ValueError(f"{device_id}: fault {name!r}, expected a battery's or a CDU's")

    # -- what the devices show and take

    def signals(self, device_id: str) -> Mapping[str, float]:
        """Every readable signal of a device, now. Raises KeyError for an unknown device."""
        return self._shown[device_id]()

    def _pcc_signals(self) -> Mapping[str, float]:
        meters = (*self._feeders.values(), self._feeder_cool)
        return self._meter_signals(self._pcc, sum(m.reactive_var for m in meters))

    def _show_feeder(self, meter: Meter) -> Mapping[str, float]:
        return self._meter_signals(meter, meter.reactive_var)

    def _meter_signals(self, meter: Meter, reactive_var: float) -> Mapping[str, float]:
        return meter.signals(self.spec.frequency_hz + self._frequency_off_hz, 1.0 + self._voltage_off, reactive_var)

    def write(self, device_id: str, signal: str, value: float) -> None:
        """Take a set-point, in SI, at the present plant time.

        Raises ValueError for a device or signal that takes none, and for a value out of its range; nothing is
        written then.
        """
        take = self._taking.get(device_id)
        if take is None:
            raise ValueError(f"{device_id}.{signal}: no device that can be written; nothing was written")
        take(signal, value, self.time_s)

    @property
    def unserved_wh(self) -> float:
        """Energy that caps and switched-off outlets kept from loads that wanted it, since the plant was made."""
        return sum(r.unserved_wh for r in self.racks.values()) + sum(p.unserved_wh for p in self.pdus.values())


def preroll(
    plant: Plant, seconds: float = 60.0, dt_s: float = 0.01, observe: Callable[[Plant], None] | None = None
) -> None:
    """Step the plant through virtual time, as fast as possible, so that windows are full before the clock starts.

    `observe` (a `Score.observe`) is called before the first step and after each.
    """
    if observe is not None:
        observe(plant)
    for _ in range(round(seconds / dt_s)):
        plant.step(dt_s)
        if observe is not None:
            observe(plant)
