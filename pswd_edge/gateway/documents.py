"""What every profile serves beside its table: its OpenAPI document, and a page to read and try it with.

Both are public on the listener: they say what the contract and our guide say, and nothing of the site.
"""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from pswd_edge.gateway.browser import page
from pswd_edge.gateway.openapi import document
from pswd_edge.gateway.profile import Profile

OPENAPI_PATH = "/openapi.json"
PAGE_PATH = "/docs"


class Documents:
    """Made once, when somebody asks first: an OpenAPI document takes some ten milliseconds, in a thread."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._made: asyncio.Future[bytes] | None = None

    def routes(self) -> list[web.RouteDef]:
        """Both documents as routes of aiohttp."""
        prefix, found = self._profile.prefix, page.load(self._profile.title.title)
        return [web.get(prefix + OPENAPI_PATH, self.openapi, allow_head=False),
                web.get(prefix + PAGE_PATH, _always(found), allow_head=False)]

    async def openapi(self, _: web.Request) -> web.StreamResponse:
        """GET {prefix}/openapi.json."""
        if self._made is None:
            self._made = asyncio.ensure_future(asyncio.to_thread(self._encoded))
        return web.Response(body=await asyncio.shield(self._made), content_type="application/json")

    def _encoded(self) -> bytes:
        return orjson.dumps(document(self._profile.title, self._profile.endpoints))


def _always(found: page.Page) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(body=found.body, content_type="text/html", charset="utf-8",
                            headers={"Content-Security-Policy": found.policy, "Referrer-Policy": "no-referrer"})

    return handler
