"""DCPI's house over a plant whose grid meter tells all and whose cooling has a meter of its own."""

from contextlib import asynccontextmanager

from dcpi_house import dcpi_house
from gateway_campus import CAMPUS, make_site

from pswd_edge.model.circuit import Circuit
from pswd_edge.model.site import GridFacts

PCC = {**CAMPUS["pcc"][1], "voltage_l1_v": (480.0, True), "voltage_l2_v": (484.0, True),
       "voltage_l3_v": (470.4, True), "current_l1_a": (150.0, True), "current_l2_a": (200.0, True)}
PLANT = {**CAMPUS, "pcc": ("meter", PCC), "cool": ("meter", {"active_power_w": (12e6, True)})}


@asynccontextmanager
async def dcpi_desk(tmp_path, state_dir, tls):
    """Racks take 30 of 70 MW, the cooling plant 12. Sixty cycles old; the cooling is known in the newer thirty."""
    plain = make_site(campus=PLANT)
    cooling = Circuit("cooling", "utility", 20e6, plain.find("cool", "active_power_w"), feeds="cooling")
    async with dcpi_house(tmp_path, state_dir, tls, campus=PLANT, circuits=(*plain.circuits, cooling),
                          grid=GridFacts("grid-test", nominal_voltage_v=480.0)) as house:
        for device in ("pcc", "cool"):
            for signal, (value, _) in PLANT[device][1].items():
                house.control.set(f"{device}.{signal}", value)
        house.control.run(30)
        yield house
