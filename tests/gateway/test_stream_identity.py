"""Streams over TLS with client certificates: who is let in, and how long that holds."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from dcpi_house import CLIENT_ID, OTHER_ID, PREFIX, DcpiHouse, client_context

from pswd_edge.gateway.clients import ClientTable

POWER, THERMAL = "/stream/power/realtime", "/stream/thermal/realtime"


async def opened(
    dcpi: DcpiHouse, path: str, client_id: str = CLIENT_ID, **more: Any
) -> aiohttp.ClientWebSocketResponse:
    url = f"wss://127.0.0.1:{dcpi.port}{PREFIX}{path}"
    return await dcpi.client.ws_connect(url, ssl=dcpi.contexts[client_id], **more)


async def status_of(dcpi: DcpiHouse, path: str, client_id: str = CLIENT_ID, **more: Any) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await opened(dcpi, path, client_id, **more)
    return refused.value.status


async def message_of(dcpi: DcpiHouse, socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    dcpi.control.run(1)
    return json.loads(await socket.receive_str(timeout=2.0))


async def test_certificate_alone_opens_a_stream(dcpi: DcpiHouse) -> None:
    """A browser can send no bearer token on a WebSocket."""
    socket = await opened(dcpi, POWER)
    assert (await message_of(dcpi, socket))["power_mw"] == 70.0


async def test_table_says_which_streams_a_certificate_opens(dcpi: DcpiHouse) -> None:
    """The other client may read power only."""
    socket = await opened(dcpi, POWER, OTHER_ID)
    assert await message_of(dcpi, socket)
    assert await status_of(dcpi, THERMAL, OTHER_ID) == 403


async def test_no_certificate_no_stream(dcpi: DcpiHouse) -> None:
    """TLS itself refuses: no byte of HTTP is read."""
    url = f"wss://127.0.0.1:{dcpi.port}{PREFIX}{POWER}"
    with pytest.raises((aiohttp.ClientError, OSError)):
        await dcpi.client.ws_connect(url, ssl=client_context(dcpi.tls, None))


async def test_bearer_that_is_sent_must_be_the_certificates(dcpi: DcpiHouse) -> None:
    """Another's token must not widen what a certificate may, and a narrower own one narrows it."""
    headers = {"Authorization": f"Bearer {dcpi.token()}"}
    assert await status_of(dcpi, POWER, OTHER_ID, headers=headers) == 401
    narrow = {"Authorization": f"Bearer {dcpi.token('thermal:read')}"}
    assert await status_of(dcpi, POWER, headers=narrow) == 403


async def test_token_in_the_url_is_refused(dcpi: DcpiHouse) -> None:
    """Also a good one: it would end in logs."""
    assert await status_of(dcpi, f"{POWER}?access_token={dcpi.token()}") in (400, 401)


async def test_page_of_another_site_opens_no_stream(dcpi: DcpiHouse) -> None:
    """The browser sends the certificate whichever page asks; only the Origin tells."""
    assert await status_of(dcpi, POWER, origin="https://evil.example") == 403
    socket = await opened(dcpi, POWER, origin=f"https://127.0.0.1:{dcpi.port}")
    assert await message_of(dcpi, socket)


async def test_disabled_client_loses_its_stream_within_10_s(dcpi: DcpiHouse) -> None:
    """Revoking must not wait for a stream that lasts for weeks."""
    own, other = await opened(dcpi, POWER), await opened(dcpi, POWER, OTHER_ID)
    ClientTable(dcpi.state_dir).set_disabled(CLIENT_ID, disabled=True)
    dcpi.control.clock.advance(11.0)
    dcpi.control.run(1)
    async with asyncio.timeout(2.0):
        while (await own.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    assert own.closed
    assert dcpi.gateway.services.hub.counts.dismissed == 1
    assert await message_of(dcpi, other)


async def test_many_streams_over_tls_get_the_same_messages(dcpi: DcpiHouse) -> None:
    """One frame for all, whatever lies below it."""
    sockets = [await opened(dcpi, POWER) for _ in range(5)]
    numbers = set()
    for _ in range(10):
        dcpi.control.run(1)
        numbers.add(tuple([json.loads(await s.receive_str(timeout=2.0))["sequence"] for s in sockets]))
    assert all(len(set(row)) == 1 for row in numbers)
    assert len(numbers) == 10
