"""The units that device maps may name, and what they are in SI (or the field's own unit).

A value in unit `u` is `value * UNITS[u].factor + UNITS[u].offset` in `UNITS[u].si`.
"""

from typing import NamedTuple


class Unit(NamedTuple):
    """`si` is the unit inside pswd-edge; `factor` and `offset` lead to it."""

    si: str
    factor: float = 1.0
    offset: float = 0.0


UNITS: dict[str, Unit] = {
    "W": Unit("W"), "kW": Unit("W", 1e3), "MW": Unit("W", 1e6), "mW": Unit("W", 1e-3),
    "var": Unit("var"), "kvar": Unit("var", 1e3), "VA": Unit("VA"), "kVA": Unit("VA", 1e3),
    "VAh": Unit("VAh"), "varh": Unit("varh"), "Ah": Unit("Ah"),
    "Wh": Unit("Wh"), "kWh": Unit("Wh", 1e3), "MWh": Unit("Wh", 1e6),
    "V": Unit("V"), "kV": Unit("V", 1e3), "mV": Unit("V", 1e-3),
    "A": Unit("A"), "mA": Unit("A", 1e-3),
    "Hz": Unit("Hz"), "mHz": Unit("Hz", 1e-3),
    "s": Unit("s"), "ms": Unit("s", 1e-3), "min": Unit("s", 60.0), "h": Unit("s", 3600.0),
    "degC": Unit("degC"), "degF": Unit("degC", 5 / 9, -160 / 9), "K": Unit("degC", 1.0, -273.15),
    "L/min": Unit("L/min"), "m3/h": Unit("L/min", 1000 / 60), "gpm": Unit("L/min", 3.785411784),
    "bar": Unit("bar"), "kPa": Unit("bar", 0.01), "psi": Unit("bar", 0.0689475729),
    "%": Unit("%"), "1": Unit("1"), "ratio": Unit("%", 100.0), "rpm": Unit("rpm"),
}
