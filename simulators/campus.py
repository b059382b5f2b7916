"""A whole simulated site: the plant in real time, and every device of the site file on its own port."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from pswd_edge.config.secrets import resolve_secret
from pswd_edge.model.site import Site
from simulators.faults import Faults
from simulators.loads import Step
from simulators.plant import Plant, PlantSpec
from simulators.scenario import Scenario, calm_scenario
from simulators.score import Score
from simulators.servers.build import Secrets, build_servers, refresh_periods
from simulators.servers.control import Command, ControlChannel
from simulators.servers.face import Face
from simulators.servers.listener import Server

STEP_S = 0.01
_MOST_STEPS = 100         # caught up at once; more are given up and counted
_ARRIVALS = 100_000
_STEP_TIMEOUT_S = 10.0


class Arrival(NamedTuple):
    """A battery set-point as it came in: W, and time.monotonic() at the server."""

    device: str
    value: float
    monotonic_s: float


class _Watch(NamedTuple):
    """Waits for the grid meter's register to move by `threshold_w` from `base_w`."""

    base_w: float
    threshold_w: float
    changed: asyncio.Future[float]


class _Shown(NamedTuple):
    face: Face
    server: Server
    every: int    # steps


class Campus:
    """`async with Campus(site, seed) as campus:` runs until the block ends.

    Args:
        site: the compiled site; one server per connection, on the connection's port.
        seed: of the plant and of lost answers.
        secrets: resolves the site's secret references.
        ports: other ports, by connection id; 0 takes a free one. `campus.ports` tells them all.
        refresh_ms: other refresh periods, by device id (see `refresh_periods`).
        plant: another plant than the one of the default spec.
        scenario: what happens once `begin()` is called; nothing by default.
        control: where the control channel listens, or None.
        commands: further ones that it takes, by name.

    `steps` counts plant steps of 10 ms, `steps_late` those that were caught up, `steps_lost` those given up.
    """

    def __init__(
        self,
        site: Site,
        seed: int = 1,
        secrets: Secrets = resolve_secret,
        *,
        ports: Mapping[str, int] | None = None,
        refresh_ms: Mapping[str, int] | None = None,
        plant: Plant | None = None,
        scenario: Scenario | None = None,
        control: Path | None = None,
        commands: Mapping[str, Command] | None = None,
    ) -> None:
        self.site = site
        self.plant = plant or Plant(PlantSpec(), seed)
        self.scenario = scenario or calm_scenario()
        self.score = Score()
        self.faults = Faults([*(d.id for d in site.devices), *(c.id for c in site.connections)], seed)
        self.arrivals: deque[Arrival] = deque(maxlen=_ARRIVALS)
        self.steps = self.steps_late = self.steps_lost = 0
        periods = refresh_periods(site, refresh_ms or {})
        self.faces = {d.id: self._face(d.index, periods[d.id] / 1000.0) for d in site.devices}
        self.servers = build_servers(site, self.faces, self.faults, secrets, ports or {})
        self._shown = [self._show(face) for face in self.faces.values()]
        meter = site.points[site.control.grid_power.point]
        self._meter, self._meter_signal = self.faces[site.devices[meter.device].id], meter.signal
        self._watch: _Watch | None = None
        self._stepped_w = 0.0
        self._fault_version = 0
        self._control = ControlChannel(control, self._commands() | dict(commands or {})) if control else None
        self._task: asyncio.Task[None] | None = None

    def _face(self, index: int, refresh_s: float) -> Face:
        device = self.site.devices[index]
        points = self.site.points[device.first_point : device.first_point + device.point_count]
        note = self._note_arrival if device.kind == "battery" else None
        return Face(device, points, self.plant, self.faults, refresh_s=refresh_s, arrival=note)

    def _show(self, face: Face) -> _Shown:
        server = self.servers[self.site.connections[face.device.connection].id]
        return _Shown(face, server, max(1, round(face.refresh_s / STEP_S)))

    def _note_arrival(self, device_id: str, signal: str, value: float) -> None:
        if signal == "power_setpoint_w":
            self.arrivals.append(Arrival(device_id, value, time.monotonic()))

    # -- life

    @property
    def ports(self) -> dict[str, int]:
        """The real port of each connection."""
        return {connection_id: server.port for connection_id, server in self.servers.items()}

    def preroll(self, seconds: float) -> None:
        """Step through virtual time as fast as possible, before `start`."""
        self.score.observe(self.plant)
        for _ in range(round(seconds / STEP_S)):
            self.plant.step(STEP_S)
            self.score.observe(self.plant)

    async def start(self) -> None:
        """Listen everywhere, then let time run."""
        for server in self.servers.values():
            await server.start()
        if self._control is not None:
            await self._control.start()
        self.score.observe(self.plant)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop time, close everything. Raises what stopped the plant, if anything did."""
        if self._control is not None:
            await self._control.stop()
        if self._task is not None:
            self._task.cancel()
        for server in self.servers.values():
            await server.stop()
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def wait(self) -> None:
        """Return when time stops; raises what stopped it."""
        assert self._task is not None
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def _run(self) -> None:
        due_s = time.monotonic() + STEP_S
        while True:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            behind = max(0, int((time.monotonic() - due_s) / STEP_S))
            due_s += (1 + behind) * STEP_S
            steps = min(1 + behind, _MOST_STEPS)
            self.steps_late += steps - 1
            self.steps_lost += 1 + behind - steps
            for _ in range(steps):
                self.scenario.advance(self.plant)
                self.plant.step(STEP_S)
                self.score.observe(self.plant)
            await self._follow_faults()
            await self._refresh(steps)

    async def _refresh(self, steps: int) -> None:
        before, self.steps = self.steps, self.steps + steps
        for face, server, every in self._shown:
            if self.steps // every != before // every:
                face.refresh()
                await server.refresh(face)
                if face is self._meter and self._watch is not None:
                    self._look(self._watch)

    async def _follow_faults(self) -> None:
        self.faults.tick()
        if self.faults.version != self._fault_version:
            self._fault_version = self.faults.version
            for server in self.servers.values():
                await server.follow()

    def _look(self, watch: _Watch) -> None:
        moved_w = abs(self._meter.values[self._meter_signal] - watch.base_w)
        if moved_w >= watch.threshold_w and not watch.changed.done():
            watch.changed.set_result(time.monotonic())

    # -- commands

    def begin(self) -> float:
        """Start the scenario and the score; returns the plant time."""
        self.scenario.start(self.plant.time_s)
        self.score.start()
        return self.plant.time_s

    async def step_load(self, power_w: float) -> float:
        """Let the racks draw `power_w` (0 or more) beyond idle from the next step on, in place of an earlier step.

        Returns the time.monotonic() at which the grid meter's register had moved by half of the change.
        Raises ValueError where nothing changes, TimeoutError where the register does not move in 10 s.
        """
        change_w = power_w - self._stepped_w
        if power_w < 0.0 or change_w == 0.0:
            raise ValueError(f"step_load: got {power_w:g} W, expected 0 or more and not {self._stepped_w:g} as before")
        changed: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._watch = _Watch(self._meter.values[self._meter_signal], abs(change_w) / 2.0, changed)
        self._stepped_w = power_w
        share_w = power_w / len(self.plant.racks)
        peaks_w = {rack_id: rack.spec.idle_w + share_w for rack_id, rack in self.plant.racks.items()}
        self.plant.start_job("step", Step(self.plant.time_s), peaks_w)
        try:
            return await asyncio.wait_for(changed, _STEP_TIMEOUT_S)
        finally:
            self._watch = None

    def _commands(self) -> dict[str, Any]:
        return {
            "fault": self._on_fault, "plant_fault": self._on_plant_fault, "write": self._on_write,
            "start": self._on_start, "summary": self._on_summary, "signals": self._on_signals,
            "truth": self._on_truth, "ports": self._on_ports, "arrivals": self._on_arrivals,
            "step_load": self._on_step_load,
        }

    async def _on_fault(self, argument: Any) -> dict[str, Any]:
        self.faults.set(argument["device"], argument["name"], argument.get("value"))
        return {}

    async def _on_plant_fault(self, argument: Any) -> dict[str, Any]:
        self.plant.fault(argument["device"], argument["name"], active=bool(argument["active"]))
        return {}

    async def _on_write(self, argument: Any) -> dict[str, Any]:
        self.plant.write(argument["device"], argument["signal"], float(argument["value"]))
        return {}

    async def _on_start(self, _: Any) -> dict[str, Any]:
        return {"time_s": self.begin()}

    async def _on_summary(self, _: Any) -> dict[str, Any]:
        counts = {"steps": self.steps, "steps_late": self.steps_late, "steps_lost": self.steps_lost}
        return {"summary": self.score.summary()} | counts

    async def _on_signals(self, device_id: Any) -> dict[str, Any]:
        return {"signals": dict(self.plant.signals(device_id))}

    async def _on_truth(self, _: Any) -> dict[str, Any]:
        plant = self.plant
        return {
            "time_s": plant.time_s, "load_w": plant.true_load_w, "grid_w": plant.true_grid_w,
            "battery_w": plant.true_battery_w,
        }

    async def _on_ports(self, _: Any) -> dict[str, Any]:
        return {"ports": self.ports}

    async def _on_arrivals(self, argument: Any) -> dict[str, Any]:
        since_s = float(argument.get("since", 0.0)) if isinstance(argument, dict) else 0.0
        return {"arrivals": [list(a) for a in self.arrivals if a.monotonic_s >= since_s]}

    async def _on_step_load(self, argument: Any) -> dict[str, Any]:
        await asyncio.sleep(max(0.0, float(argument.get("at_monotonic", 0.0)) - time.monotonic()))
        return {"register_changed_monotonic": await self.step_load(float(argument["power_w"]))}
