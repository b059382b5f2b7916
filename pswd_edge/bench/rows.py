"""What it costs to answer an hour of power: rows joined from those that are kept, against rows built anew."""

import time
import tracemalloc
from collections.abc import Callable
from math import isnan
from typing import Any

import numpy as np
import orjson

from pswd_edge.gateway.services.power import PowerSeries
from pswd_edge.gateway.services.row_encoding import RowForm, encode
from pswd_edge.gateway.services.row_store import RowStore


def measure_rows(form: RowForm, circuits: int = 12, rows: int = 36_000) -> dict[str, Any]:
    """Of `rows`, an hour at 100 ms: ms to build them plainly and by templates, ms to join what is kept, MB kept."""
    series = _series(circuits, rows)
    plain_ms, plain = _timed(lambda: b",".join(_plainly(form, series)))
    anew_ms, anew = _timed(lambda: b",".join(encode(form, series)))
    tracemalloc.start()
    store = RowStore(form, 100)
    store.append(series)
    kept_mb = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    joined_ms, joined = _timed(lambda: b",".join(store.rows(0)[0]))
    if not plain == anew == joined:
        raise RuntimeError("the ways to an hour do not lead to the same bytes")
    return {"circuits": circuits, "rows": rows, "answer_mb": round(len(joined) / 1e6, 1),
            "kept_mb": round(kept_mb, 1), "plain_ms": round(plain_ms), "anew_ms": round(anew_ms),
            "joined_ms": round(joined_ms, 1), "ratio": round(anew_ms / joined_ms, 1)}


def _plainly(form: RowForm, series: PowerSeries) -> list[bytes]:
    """Row by row: what `encode` must equal."""
    times = np.datetime_as_string(series.start_ms.astype("datetime64[ms]"), timezone="UTC").tolist()
    return [orjson.dumps(form.row(time_, [None if isnan(v) else v for v in row], series.circuit_ids))
            for time_, row in zip(times, form.numbers(series).tolist(), strict=True)]


def _series(circuits: int, rows: int) -> PowerSeries:
    rng = np.random.default_rng(1)
    load_w = rng.normal(70e6, 5e6, rows)
    return PowerSeries(100, 1_780_000_000_000 + 100 * np.arange(rows, dtype=np.int64), load_w, load_w,
                       np.column_stack([rng.normal(middle, 0.01, rows) for middle in (50, 2, 0.9, 480, 175, 99)]),
                       tuple(f"circuit-{k:02d}" for k in range(circuits)), rng.normal(6e6, 1e6, (rows, circuits)))


def _timed(make: Callable[[], bytes]) -> tuple[float, bytes]:
    best, made = float("inf"), b""
    for _ in range(3):
        started_s = time.perf_counter()
        made = make()
        best = min(best, 1000 * (time.perf_counter() - started_s))
    return best, made
