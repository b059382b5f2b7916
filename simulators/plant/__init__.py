"""The physical campus behind the simulated devices: pure physics, deterministic by seed."""

from simulators.plant.battery import BatteryState
from simulators.plant.plant import Plant, preroll
from simulators.plant.rack import RackState, RunCommand
from simulators.plant.spec import BatterySpec, CduSpec, CoolingSpec, PduSpec, PlantSpec, RackSpec

__all__ = [
    "BatterySpec", "BatteryState", "CduSpec", "CoolingSpec", "PduSpec", "Plant", "PlantSpec", "RackSpec", "RackState",
    "RunCommand", "preroll",
]
