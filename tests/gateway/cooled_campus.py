"""The small campus with cooling that can be led: set-points on CDUs, chiller and heat exchanger, and room for heat."""

from gateway_campus import CAMPUS, make_site
from msgspec.structs import replace

from pswd_edge.model.point import WriteRule
from pswd_edge.model.site import Site
from pswd_edge.model.thermal import Cooler, Lead, ThermalSpec

COOLED = {
    **CAMPUS,
    "cdu-1": ("cdu", {**CAMPUS["cdu-1"][1], "supply_temperature_setpoint_c": (30.0, False),
                      "flow_setpoint_lpm": (1000.0, False)}),
    "cdu-2": ("cdu", {**CAMPUS["cdu-2"][1], "supply_temperature_setpoint_c": (30.0, False),
                      "flow_setpoint_lpm": (2000.0, False)}),
    "chiller-1": ("chiller", {"leaving_temperature_c": (16.0, False), "entering_temperature_c": (22.0, False),
                              "leaving_temperature_setpoint_c": (16.0, False)}),
    "hx-1": ("heat_exchanger", {"heat_w": (5e6, False), "supply_temperature_c": (82.0, False),
                                "return_temperature_c": (62.0, False), "flow_lpm": (3600.0, False),
                                "supply_temperature_setpoint_c": (80.0, False), "flow_setpoint_lpm": (3600.0, False),
                                "enable": (1.0, False)}),
}


def cooled_site(**changes: object) -> Site:
    """Each CDU serves a rack; 140 MW of heat can be carried, 40 more than the load may be."""
    site = make_site(campus=COOLED, **changes)
    points = tuple(replace(p, write=WriteRule(0.0, 1e6)) if "setpoint" in p.signal or p.signal == "enable" else p
                   for p in site.points)
    at = site.point_index
    coolers = tuple(Cooler(name, (rack,), 1.0, 60e6, (
        Lead(at[f"{name}.supply_temperature_setpoint_c"], 30.0, 27.0, 25.0, 32.0, 0.1),
        Lead(at[f"{name}.flow_setpoint_lpm"], 1000.0, 4000.0, 500.0, 5000.0, 20.0)))
        for rack, name in enumerate(("cdu-1", "cdu-2")))
    control = replace(site.control, thermal=ThermalSpec(coolers), cooling_rating_w=140e6)
    return replace(site, points=points, control=control)
