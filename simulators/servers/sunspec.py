"""The fixed registers of a SunSpec device: the marker, the model headers, the end model.

Source: SunSpec device information model, 6.2 (marker 'SunS', then {id, length, body}…, then id 0xFFFF, length 0).
"""

from collections.abc import Iterable

from pswd_edge.model.point import ModbusAddress, Point

_BASE = 40000
_MARKER = (0x5375, 0x6E53)
_COMMON_ID = 1
_END_ID = 0xFFFF
# map: models in their order, each with one of its points and that point's offset from the model's id register;
# so the headers stand where the map's own addresses need them.
_MODELS: dict[str, tuple[tuple[int, str, int], ...]] = {
    "sunspec-bess-7xx": (
        (701, "power_w", 10), (704, "power_setpoint_w", 24), (713, "soc_percent", 4), (715, "heartbeat", 5),
    ),
}
_LAST_BODY = 7    # length of model 715


def fixed_registers(map_name: str, points: Iterable[Point]) -> dict[int, int]:
    """Register to word; empty where the map is no SunSpec map."""
    at = {p.signal: p.address.register for p in points if isinstance(p.address, ModbusAddress)}
    models = [(number, at[signal] - offset) for number, signal, offset in _MODELS.get(map_name, ()) if signal in at]
    if not models:
        return {}
    words = {_BASE: _MARKER[0], _BASE + 1: _MARKER[1]}
    starts = [(_COMMON_ID, _BASE + 2), *models]
    ends = [start for _, start in models] + [models[-1][1] + 2 + _LAST_BODY]
    for (number, start), end in zip(starts, ends, strict=True):
        words[start] = number
        words[start + 1] = end - start - 2
    words[ends[-1]] = _END_ID
    words[ends[-1] + 1] = 0
    return words
