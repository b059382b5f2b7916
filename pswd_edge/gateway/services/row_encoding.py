"""Rows of a power series as JSON, in a profile's words: numbers of many rows at once, one template for a shape."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from pswd_edge.gateway.services.power import PowerSeries

_SLOT = "\x00"                                  # stands for a number in a template; JSON has it as \u0000
_SLOT_JSON = orjson.dumps(_SLOT)


class RowForm(Protocol):
    """How a profile writes an interval. `kept_s`: how far back its rows are kept."""

    kept_s: int

    @property
    def intervals_ms(self) -> tuple[int, ...]:
        """Resolutions whose rows are kept; others are built anew."""
        ...

    def numbers(self, series: PowerSeries) -> NDArray[np.float64]:
        """What a row shows, (n, k), rounded, in the profile's units; NaN where it is left out."""
        ...

    def row(self, time: str, numbers: Sequence[Any], circuit_ids: Sequence[str]) -> dict[str, Any]:
        """One row of k numbers, None where it is left out."""
        ...


def encode(form: RowForm, series: PowerSeries) -> list[bytes]:
    """Each interval as the JSON of `form.row`, byte for byte."""
    if not len(series.start_ms):
        return []
    numbers = form.numbers(series)
    times = np.datetime_as_string(series.start_ms.astype("datetime64[ms]"), timezone="UTC").tolist()
    known = ~np.isnan(numbers)
    texts = iter(orjson.dumps(numbers[known].tolist())[1:-1].split(b","))
    if (known == known[0]).all():
        template, count = _template(form, known[0], series.circuit_ids), int(known[0].sum())
        return [template % (time.encode(), *_take(texts, count)) for time in times]
    shapes: dict[bytes, tuple[bytes, int]] = {}
    rows = []
    for time, mask in zip(times, known, strict=True):
        shape = mask.tobytes()
        if shape not in shapes:
            shapes[shape] = _template(form, mask, series.circuit_ids), int(mask.sum())
        template, count = shapes[shape]
        rows.append(template % (time.encode(), *_take(texts, count)))
    return rows


def _take(texts: Any, count: int) -> list[bytes]:
    return [next(texts) for _ in range(count)]


def _template(form: RowForm, known: NDArray[np.bool_], circuit_ids: Sequence[str]) -> bytes:
    """The row with %s for the text of its time and of each known number."""
    shape = form.row(_SLOT, [_SLOT if yes else None for yes in known.tolist()], circuit_ids)
    quoted = orjson.dumps(shape).replace(b"%", b"%%")
    time, _, rest = quoted.partition(_SLOT_JSON)
    return time + b'"%s"' + rest.replace(_SLOT_JSON, b"%s")


def rounded(values: NDArray[np.float64], divisor: NDArray[np.float64], digits: NDArray[np.float64],
            ) -> NDArray[np.float64]:
    """`values / divisor` to so many digits, column by column; never -0.0."""
    scale = 10.0 ** digits
    return np.asarray(np.rint(values / divisor * scale) / scale + 0.0)
