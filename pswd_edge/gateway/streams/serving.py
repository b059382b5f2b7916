"""A WebSocket request from its handshake to its end."""

import asyncio
from typing import cast

from aiohttp import web

from pswd_edge.gateway.middleware import TIME_LIMIT
from pswd_edge.gateway.reception import ADMISSION
from pswd_edge.gateway.refusal import RefusalError, control_unavailable
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.streams.client import CLOSE_S, MESSAGE_MAX_BYTES, StreamClient
from pswd_edge.gateway.streams.stream import Stream

_UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}


async def serve_stream(services: Services, stream: Stream, origin: str, request: web.Request) -> web.StreamResponse:
    """Take the client in and send to it until it leaves.

    Args:
        services: for its hub and its clock.
        stream: what it gets.
        origin: whose seat it takes.
        request: the handshake, admitted already.

    Raises:
        RefusalError: 400 with a query, 426 where it is no WebSocket handshake, 429 or 503 where there is no room, 503
            where control does not live.
    """
    if request.query_string:
        raise RefusalError(400, "INVALID_REQUEST", "a stream takes no query; a token never belongs into a URL")
    hub, clock = services.hub, services.clock
    if not services.live.alive:
        raise control_unavailable()
    socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=MESSAGE_MAX_BYTES, timeout=CLOSE_S)
    if not socket.can_prepare(request):
        raise RefusalError(426, "UPGRADE_REQUIRED", "expected a WebSocket handshake (RFC 6455, version 13)",
                           headers=_UPGRADE)
    hub.seat(origin)
    try:
        await socket.prepare(request)
        request[TIME_LIMIT].reschedule(None)
        client = StreamClient(origin, socket, cast("asyncio.Transport", request.transport), clock.monotonic_s,
                              request[ADMISSION])
        stream.join(client, clock.utc_s())
        try:
            await client.listen()
        finally:
            stream.leave(client)
    finally:
        hub.unseat(origin)
    return socket
