"""Sums of measured values."""

from collections.abc import Iterable


def whole_sum(values: Iterable[float | None]) -> float | None:
    """The sum where there is a term and every term is known, else None: a part of a sum must not pass for the whole."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if known and len(known) == len(found) else None
