"""What every profile serves beside its table: its OpenAPI document, and a page to read and try it with.

Both are public on the listener: they say what the contract and our guide say, and nothing of the site.
"""

import asyncio

import orjson
from aiohttp import web

from pswd_edge.gateway.browser import page
from pswd_edge.gateway.endpoint import Category
from pswd_edge.gateway.guard import Guard
from pswd_edge.gateway.openapi import document
from pswd_edge.gateway.profile import Profile
from pswd_edge.gateway.rates import address_origin

OPENAPI_PATH = "/openapi.json"
PAGE_PATH = "/docs"


class Documents:
    """Made once, when somebody asks first: an OpenAPI document takes some ten milliseconds, in a thread."""

    def __init__(self, profile: Profile, guard: Guard) -> None:
        self._profile, self._guard = profile, guard
        self._page = page.load(profile.title.title)
        self._made: asyncio.Future[bytes] | None = None

    def routes(self) -> list[web.RouteDef]:
        """Both documents as routes of aiohttp."""
        prefix = self._profile.prefix
        return [web.get(prefix + OPENAPI_PATH, self.openapi, allow_head=False),
                web.get(prefix + PAGE_PATH, self.page, allow_head=False)]

    async def openapi(self, request: web.Request) -> web.StreamResponse:
        """GET {prefix}/openapi.json."""
        self._charge(request)
        if self._made is None:
            self._made = asyncio.ensure_future(asyncio.to_thread(self._encoded))
        return web.Response(body=await asyncio.shield(self._made), content_type="application/json")

    async def page(self, request: web.Request) -> web.StreamResponse:
        """GET {prefix}/docs."""
        self._charge(request)
        return web.Response(body=self._page.body, content_type="text/html", charset="utf-8",
                            headers={"Content-Security-Policy": self._page.policy, "Referrer-Policy": "no-referrer"})

    def _charge(self, request: web.Request) -> None:
        """Who reads them has no name: the address counts."""
        self._guard.charge(request, address_origin(request.remote), Category.MONITORING)

    def _encoded(self) -> bytes:
        return orjson.dumps(document(self._profile.title, self._profile.endpoints))
