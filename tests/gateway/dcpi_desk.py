"""A gateway whose DCPI listener takes everybody for a scheduler: identity has tests of its own."""

from contextlib import asynccontextmanager

import aiohttp
import msgspec
from conftest import House
from gateway_campus import CAMPUS, Control, FakeDoor, make_site

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.profiles.dcpi.profile import DcpiProfile
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.server import Gateway
from pswd_edge.model.circuit import Circuit

PCC = {**CAMPUS["pcc"][1], "voltage_l1_v": (480.0, True), "voltage_l2_v": (484.0, True),
       "voltage_l3_v": (470.4, True), "current_l1_a": (150.0, True), "current_l2_a": (200.0, True)}
PLANT = {**CAMPUS, "pcc": ("meter", PCC), "cool": ("meter", {"active_power_w": (12e6, True)})}


def plant(**changes):
    """Racks take 30 of 70 MW, the cooling plant 12."""
    site = make_site(("pswd", "dcpi"), PLANT)
    circuits = (*site.circuits, Circuit("cooling", "utility", 20e6, site.find("cool", "active_power_w"),
                                        feeds="cooling"))
    return msgspec.structs.replace(site, **{
        "circuits": circuits, "grid": msgspec.structs.replace(site.grid, nominal_voltage_v=480.0), **changes})


@asynccontextmanager
async def dcpi_desk(tmp_path, state_dir, monkeypatch):
    """Thirty cycles old."""
    client = Principal("scheduler", "client", frozenset({Operation.POWER_READ, Operation.METRICS_READ}),
                       "dcpi:scheduler")
    monkeypatch.setattr(DcpiProfile, "authenticate", lambda *_, **__: client)
    control = Control(tmp_path / "run", plant())
    for device in ("pcc", "cool"):
        for signal, (value, _) in PLANT[device][1].items():
            control.set(f"{device}.{signal}", value)
    control.run(30)
    live, door = LiveImage(tmp_path / "run", control.clock), FakeDoor()
    async with Gateway(live, door, state_dir, control.clock) as gateway, aiohttp.ClientSession() as session:
        await gateway.open(tmp_path / "run" / "rows")
        yield House(control, door, gateway, live, session)
