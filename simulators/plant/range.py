"""The refusal of what a device cannot take."""

import math


def check_range(device: str, signal: str, value: float, minimum: float, maximum: float) -> float:
    """`value` itself where it lies in the range; ValueError where it does not, or is NaN."""
    if math.isnan(value) or not minimum <= value <= maximum:
        raise ValueError(f"{device}.{signal}: got {value}, expected {minimum} to {maximum}; nothing was written")
    return value


def check_switch(device: str, signal: str, value: float) -> float:
    """`value` itself where it is 0 or 1; ValueError where it is not."""
    if value not in (0.0, 1.0):
        raise ValueError(f"{device}.{signal}: got {value}, expected 0 or 1; nothing was written")
    return float(value)
