"""HTTP to somebody outside: the grid operator or the heat network of the site file. One question, one answer."""

import asyncio
import contextlib
import ssl
from typing import Any, Literal, NamedTuple

import aiohttp
import orjson

from pswd_edge.config.secrets import resolve_secret
from pswd_edge.errors import PswdError, SecretError
from pswd_edge.gateway.live import LiveImage
from pswd_edge.model.site import OutsideEndpoint

Target = Literal["grid", "heat"]
NAMES: dict[Target, str] = {"grid": "grid operator", "heat": "heat network"}
_ANSWER_MAX = 1 << 20


class OutsideError(PswdError):
    """No answer that can be used; asking again may help."""


class Reply(NamedTuple):
    """An answer: its status, and its JSON object ({} where it has none)."""

    status: int
    content: dict[str, Any]


class Outside:
    """One session for both targets. Address, token and authority are read anew for each request: they may change."""

    def __init__(self, live: LiveImage) -> None:
        self._live = live
        self._session: aiohttp.ClientSession | None = None
        self._trust: tuple[str, ssl.SSLContext] | None = None

    def endpoint(self, target: Target) -> OutsideEndpoint | None:
        """Where the target is reached; None where the site file does not say."""
        site = self._live.site
        return site.grid_endpoint if target == "grid" else site.heat_endpoint

    async def ask(self, target: Target, method: str, path: str, *, content: object = None, key: str = "",
                  timeout_s: float) -> Reply:
        """Ask, and wait `timeout_s` at most, connecting included.

        Args:
            target: whom; its endpoint has to be configured.
            method: GET or POST.
            path: below the endpoint's address, with its query.
            content: the JSON body, or None.
            key: sent as Idempotency-Key where it is given.
            timeout_s: for all of it.

        Raises:
            OutsideError: not reached, not in time, or no JSON object; the text says why, without the token.
        """
        endpoint = self.endpoint(target)
        if endpoint is None:
            raise OutsideError(f"no address of the {NAMES[target]} in the site file")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._asked(endpoint, method, path, content, key)
        except TimeoutError as error:
            raise OutsideError(f"no answer within {timeout_s:.1f} s") from error
        except (aiohttp.ClientError, OSError, ValueError, SecretError) as error:
            raise OutsideError(str(error)[:200] or type(error).__name__) from error

    async def _asked(self, endpoint: OutsideEndpoint, method: str, path: str, content: object, key: str) -> Reply:
        headers = {"Authorization": f"Bearer {resolve_secret(endpoint.secret)}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        body = None if content is None else orjson.dumps(content)
        async with self._open_session().request(method, endpoint.url + path, data=body, headers=headers,
                                                allow_redirects=False, ssl=self._trusted(endpoint)) as response:
            raw = await response.content.read(_ANSWER_MAX + 1)
            while len(raw) <= _ANSWER_MAX and not response.content.at_eof():
                raw += await response.content.read(_ANSWER_MAX + 1 - len(raw))
            return Reply(response.status, _object(raw, response.status))

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    def _trusted(self, endpoint: OutsideEndpoint) -> ssl.SSLContext | bool:
        if endpoint.tls_ca is None:
            return True
        if self._trust is None or self._trust[0] != endpoint.tls_ca:
            self._trust = endpoint.tls_ca, ssl.create_default_context(cafile=endpoint.tls_ca)
        return self._trust[1]

    async def close(self) -> None:
        """Hang up."""
        if self._session is not None:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                await self._session.close()
            self._session = None


def _object(raw: bytes, status: int) -> dict[str, Any]:
    """The JSON object; a refusal may come without one."""
    if len(raw) > _ANSWER_MAX:
        raise ValueError(f"an answer of over {_ANSWER_MAX} bytes")
    try:
        found = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError:
        found = None
    if isinstance(found, dict):
        return found
    if status >= 300:
        return {}
    raise ValueError("an answer that is no JSON object")
