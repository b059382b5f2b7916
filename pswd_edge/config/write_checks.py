"""What a write rule must fulfil beyond its form."""

from pswd_edge.config.map_form import MapFile, RowForm, WriteForm
from pswd_edge.config.mistakes import number
from pswd_edge.config.place import Place
from pswd_edge.model.signal import find_signal

_EVERY_S = {"cycle": 0.0, "1s": 1.0, "10s": 10.0}


def check_write(form: MapFile, row: RowForm, write: WriteForm, place: Place) -> None:
    """Note what a write rule may not be."""
    signal = find_signal(form.kind, row.signal or "")
    if signal is not None and not signal.writable:
        place.complain(("write",), f"a write rule for {row.signal}", "none, as this signal is only measured")
    if write.min >= write.max:
        place.complain(("write", "min"), number(write.min), f"less than max, {number(write.max)}")
    rows = {r.key: r for r in form.rows}
    _check_signals(write, rows, place)
    if write.read_back_values and write.read_back is None:
        place.complain(("write", "read_back_values"), "values", "read_back beside them")
    _check_keep_alive(write, place)
    _check_sbo(form, row, write, rows, place)


def _check_signals(write: WriteForm, rows: dict[str, RowForm], place: Place) -> None:
    """Signals that a write rule names: of this map, and able to do what is asked of them."""
    written = [("select", write.select), *(("after", signal) for signal in write.after)]
    named = [("revert_by", write.revert_by), ("read_back", write.read_back), ("effect", write.effect), *written]
    for key, value in named:
        if value is not None and value not in rows:
            place.complain(("write", key), repr(value), "a signal of this map")
    for key, other in written:
        if other in rows and rows[other].write is None:
            place.complain(("write", key), f"{other}, which can only be read", "a signal that can be written")
    if write.effect in rows and not rows[write.effect].readable:
        place.complain(("write", "effect"), f"{write.effect}, which can only be written", "a signal that can be read")


def _check_keep_alive(write: WriteForm, place: Place) -> None:
    if write.keep_alive and write.keep_alive_s:
        place.complain(("write", "keep_alive_s"), "both keep_alive and keep_alive_s", "one of them")
    if write.keep_alive_value is not None and not write.keep_alive_s:
        place.complain(("write", "keep_alive_value"), "a value without keep_alive_s", "both")
    if (write.keep_alive or write.keep_alive_s) and write.eeprom:
        place.complain(("write", "eeprom"), "keep_alive in memory that wears", "one of them")


def _check_sbo(form: MapFile, row: RowForm, write: WriteForm, rows: dict[str, RowForm], place: Place) -> None:
    """What is operated must be seen: a state that can be read, and more often than it must be confirmed."""
    if not write.sbo:
        if write.select is not None:
            place.complain(("write", "select"), "select without sbo", "sbo: true beside it")
        return
    shown = rows.get(write.read_back) if write.read_back else row
    if shown is None:
        return
    defaults = getattr(form, "defaults", None)
    every_s = _EVERY_S.get(str(shown.every or getattr(defaults, "every", "cycle")), 0.0)
    if not shown.readable:
        place.complain(("write", "sbo"), "no read-back", "read_back, a signal that shows the state")
    elif every_s >= write.confirm_s:
        place.complain(("write", "confirm_s"), f"{number(write.confirm_s)} s for a state read every {every_s:g} s",
                       f"more than {every_s:g} s")
