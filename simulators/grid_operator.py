"""A simulated grid operator and heat network behind one HTTP port, for the demo and for tests.

| request | answer |
|---|---|
| `POST /grid/signals`, `POST /heat/signals` | `{"status": …, "message": …}`: acknowledged, pending or rejected |
| `GET /grid/conditions` | carbon, renewables by source, prices, stability; a plausible day |
| `GET /grid/events?after=N&wait_s=S` | `{"stream": …, "events": […]}`, waits for one where there is none after N |
| `GET /heat/conditions` | demand, its peak, season, price |

Every request needs `Authorization: Bearer <secret>`. The same message id again gets the first answer: a message that
was taken is not taken twice. Faults, settable while it runs, for signals alone:

| name | value | what the gateway sees |
|---|---|---|
| reject | reason | every new message rejected with it |
| hold | true | new messages are pending; without it the next try of the same message is decided |
| delay | seconds | each answer so much later |
| fail | status | every request answered with this status, 0 ends it |
| fail_times | count | `fail` ends by itself after so many |
| hang_up | true | the connection closed without an answer |
"""

import asyncio
import hmac
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Self

from aiohttp import web

from pswd_edge.clock import Clock, SystemClock, iso_utc
from simulators.day import grid_conditions, heat_conditions

_BODY_MAX = 1 << 20
_WAIT_MAX_S = 60.0
_FAULTS: dict[str, type] = {"reject": str, "hold": bool, "delay": float, "fail": int, "fail_times": int,
                            "hang_up": bool}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class GridOperator:
    """`async with GridOperator(secret) as operator:` listens until the block ends; `operator.port` tells where.

    `received` are the messages that it took or rejected, in order, each once; `asked` counts requests for signals.
    """

    def __init__(self, secret: str, port: int = 0, clock: Clock | None = None) -> None:
        self._secret, self._clock = secret, clock or SystemClock()
        self.port = port
        self.stream = uuid.uuid4().hex
        self.received: list[dict[str, Any]] = []
        self.asked = 0
        self.events: list[dict[str, Any]] = []
        self.faults: dict[str, Any] = {}
        self._answers: dict[str, dict[str, str]] = {}
        self._came = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on loopback."""
        application = web.Application(client_max_size=_BODY_MAX)
        application.add_routes([
            web.post("/{side:grid|heat}/signals", self._guarded(self._on_signal)),
            web.get("/grid/conditions", self._guarded(self._on_conditions)),
            web.get("/grid/events", self._guarded(self._on_events)),
            web.get("/heat/conditions", self._guarded(self._on_heat)),
        ])
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening; those who wait for events are let go."""
        self._ring()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # -- what it does of itself

    def demand(self, reduction_w: float = 20e6, duration_s: float = 3600.0, deadline_s: float = 300.0,
               rate_per_mwh: float = 150.0, event_id: str = "") -> dict[str, Any]:
        """Ask the site for a demand response; the event."""
        now_s = self._clock.utc_s()
        return self.tell("demand_response_request", event_id or f"dr-{int(now_s)}-{len(self.events) + 1}", {
            "requested_reduction_w": reduction_w, "duration_s": duration_s,
            "response_deadline": iso_utc(now_s + deadline_s), "compensation_per_mwh": rate_per_mwh})

    def tell(self, event_type: str, event_id: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Make an event of any type."""
        event = {"number": len(self.events) + 1, "event_type": event_type, "event_id": event_id,
                 "timestamp": iso_utc(self._clock.utc_s()), "parameters": parameters}
        self.events.append(event)
        self._ring()
        return event

    def fault(self, name: str, value: object) -> None:
        """Switch a fault on, or off with None, False, 0 or ""; raises ValueError where there is none of this name."""
        kind = _FAULTS.get(name)
        if kind is None:
            raise ValueError(f"operator fault: got {name!r}, expected one of {', '.join(_FAULTS)}")
        if value:
            self.faults[name] = kind(value)
        else:
            self.faults.pop(name, None)

    def _ring(self) -> None:
        came, self._came = self._came, asyncio.Event()
        came.set()

    # -- what it is asked

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("Authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self._secret}".encode()):
                return web.json_response({"message": "the bearer token is not ours"}, status=401)
            return await handler(request)

        return guarded

    async def _on_signal(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        message = await request.json()
        if request.headers.get("Idempotency-Key") != message["id"]:
            return web.json_response({"message": "Idempotency-Key: expected the message's id"}, status=400)
        await asyncio.sleep(self.faults.get("delay", 0.0))
        if self.faults.get("hang_up"):
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPInternalServerError
        if status := self.faults.get("fail"):
            self._count_failure()
            return web.json_response({"message": "out of order"}, status=status)
        return web.json_response(self._decide(request.match_info["side"], message))

    def _count_failure(self) -> None:
        if "fail_times" in self.faults:
            self.faults["fail_times"] -= 1
            if self.faults["fail_times"] <= 0:
                del self.faults["fail_times"], self.faults["fail"]

    def _decide(self, side: str, message: dict[str, Any]) -> dict[str, str]:
        """The first decision about a message stands; one that was held is decided at its next coming."""
        if message["id"] in self._answers:
            return self._answers[message["id"]]
        if self.faults.get("hold"):
            return {"status": "pending", "message": "under review"}
        reason = self.faults.get("reject")
        answer = {"status": "rejected", "message": reason} if reason else {
            "status": "acknowledged", "message": f"{message['kind'].replace('_', ' ')} received"}
        self._answers[message["id"]] = answer
        self.received.append({**message, "side": side, "answer": answer["status"]})
        return answer

    async def _on_conditions(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(grid_conditions(self._clock.utc_s()))

    async def _on_heat(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(heat_conditions(self._clock.utc_s()))

    async def _on_events(self, request: web.Request) -> web.StreamResponse:
        after = int(request.query.get("after", "0"))
        ends_s = asyncio.get_running_loop().time() + min(float(request.query.get("wait_s", "0")), _WAIT_MAX_S)
        while not (found := self.events[after:]):
            left_s = ends_s - asyncio.get_running_loop().time()
            if left_s <= 0 or self._runner is None:
                break
            await self._wait(left_s)
        return web.json_response({"stream": self.stream, "events": found})

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._came.wait()
        except TimeoutError:
            return

    # -- the simulators' control channel

    def commands(self) -> dict[str, Callable[[Any], Awaitable[dict[str, Any]]]]:
        """What the control channel can ask of it."""
        return {"operator_fault": self._ask_fault, "demand_response": self._ask_demand, "operator_log": self._ask_log}

    async def _ask_fault(self, argument: Any) -> dict[str, Any]:
        self.fault(argument["name"], argument.get("value"))
        return {}

    async def _ask_demand(self, argument: Any) -> dict[str, Any]:
        return {"event": self.demand(**(argument if isinstance(argument, dict) else {}))}

    async def _ask_log(self, _: Any) -> dict[str, Any]:
        return {"received": self.received, "asked": self.asked}
