"""The control channel of a running campus: one JSON object a line in, one out, on a Unix socket.

| request | answer besides `"ok": true` |
|---|---|
| `{"fault": {"device": "pcc", "name": "freeze", "value": true}}` | |
| `{"plant_fault": {"device": "bess-1", "name": "contactor_open", "active": true}}` | |
| `{"write": {"device": "rack-1", "signal": "power_cap_w", "value": 1e7}}` | |
| `{"start": true}` | `time_s` (plant time at which the scenario began) |
| `{"summary": true}` | `summary` (score), `steps`, `steps_late`, `steps_lost` |
| `{"signals": "bess-1"}` | `signals` |
| `{"truth": true}` | `load_w`, `grid_w`, `battery_w`, `time_s` |
| `{"ports": true}` | `ports` by connection |
| `{"arrivals": {"since": 12.3}}` | `arrivals`: [device, W, monotonic s] of battery set-points |
| `{"step_load": {"power_w": 2e7, "at_monotonic": 12.3}}` | `register_changed_monotonic` |
| `{"operator_fault": {"name": "reject", "value": "too late"}}` | (of `grid_operator.py`, where the site has one) |
| `{"demand_response": {"reduction_w": 2e7, "duration_s": 600}}` | `event` |
| `{"operator_log": true}` | `received`, `asked` |

A request that cannot be done is answered `{"ok": false, "error": "..."}`.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Command = Callable[[Any], Awaitable[dict[str, Any]]]


class ControlChannel:
    """Serves `commands` by name on a Unix socket."""

    def __init__(self, path: Path, commands: dict[str, Command]) -> None:
        self._path = path
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen; an old socket of that name is replaced."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def stop(self) -> None:
        """Close the socket and its clients."""
        if self._server is not None:
            self._server.close()
            for client in self._clients:
                client.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(_finite(answer)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):    # ValueError: a line longer than the reader's limit
            pass
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            name, argument = self._parse(line)
            return {"ok": True} | await self._commands[name](argument)
        except (ValueError, KeyError, TypeError, TimeoutError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}

    def _parse(self, line: bytes) -> tuple[str, Any]:
        request = json.loads(line)
        if not isinstance(request, dict) or len(request) != 1:
            raise ValueError("expected an object with one key")
        ((name, argument),) = request.items()
        if name not in self._commands:
            raise ValueError(f"got {name!r}, expected one of {', '.join(self._commands)}")
        return name, argument


def _finite(value: Any) -> Any:
    """NaN and infinity as null: JSON has none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
