"""One listener of the site: its aiohttp application, its socket, its end."""

import ipaddress
import ssl
from collections.abc import Mapping

from aiohttp import web

from pswd_edge.errors import ConfigError
from pswd_edge.gateway.cors import Cors
from pswd_edge.gateway.documents import Documents
from pswd_edge.gateway.gate import Gate, bind
from pswd_edge.gateway.guard import Guard
from pswd_edge.gateway.middleware import Finish, Frame
from pswd_edge.gateway.profile import Profile
from pswd_edge.gateway.protocol import protocol_factory, tls_context
from pswd_edge.gateway.reception import Reception
from pswd_edge.gateway.security_log import Intrusions
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.validation import BODY_MAX
from pswd_edge.model.site import Listener

SHUTDOWN_S = 5.0


class Listening:
    """An open listener; `port` is the real one where the site says 0."""

    def __init__(self, listener: Listener, runner: web.AppRunner, gate: Gate) -> None:
        self.listener = listener
        self._runner = runner
        self._gate = gate
        self.port: int = gate.port

    async def close(self) -> None:
        """Take no new connection, finish what is being answered, end."""
        await self._gate.close()
        await self._runner.cleanup()


async def open_listener(
    listener: Listener, profiles: Mapping[str, Profile], services: Services, guard: Guard,
) -> Listening:
    """Bind and serve.

    Raises:
        ConfigError: a profile that is not there, an address beyond this machine without TLS, or no such address.
    """
    where = f"listener {listener.host}:{listener.port}"
    unknown = [name for name in listener.profiles if name not in profiles]
    if unknown or not listener.profiles:
        raise ConfigError([f"{where}: got profiles {unknown or 'none'}: expected some of {', '.join(profiles)}"])
    context = _tls(listener, where, services.security.intrusions)
    own = [profiles[name] for name in listener.profiles]
    runner = web.AppRunner(_application(own, listener, services, guard), access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    if runner.server is None:
        raise ConfigError([f"{where}: no server"])
    try:
        bound = await bind(listener.host, listener.port)
    except OSError as error:
        await runner.cleanup()
        reason = error.strerror or error
        raise ConfigError([f"{where}: cannot be bound ({reason}); is another gateway running?"]) from error
    return Listening(listener, runner, Gate(bound, guard.connections, protocol_factory(runner.server, own[0]), context))


def _application(profiles: list[Profile], listener: Listener, services: Services, guard: Guard) -> web.Application:
    cors = Cors(listener.cors_origins)
    frame = Frame(profiles, services.live, services.meter, guard.audit, cors)
    app = web.Application(middlewares=[frame.around], client_max_size=BODY_MAX)
    app.on_response_prepare.append(Finish(cors).headers)
    for profile in profiles:
        app.router.add_routes(Reception(profile, guard, services.security.intrusions).routes())
        app.router.add_routes(Documents(profile, guard).routes())
    return app


def _tls(listener: Listener, where: str, intrusions: Intrusions) -> ssl.SSLContext | None:
    if "dcpi" in listener.profiles and (listener.profiles != ("dcpi",) or not listener.client_ca):
        raise ConfigError([f"{where}: got dcpi without client_ca or beside others: expected client_ca and dcpi alone"])
    if listener.tls_certificate and listener.tls_key:
        try:
            return tls_context(listener.tls_certificate, listener.tls_key, listener.client_ca, intrusions)
        except OSError as error:      # ssl.SSLError is one too
            raise ConfigError([f"{where}: TLS certificate or key cannot be used ({error})"]) from error
    if listener.client_ca or not _loopback(listener.host):
        expected = "tls_certificate and tls_key beyond loopback, and with client_ca"
        raise ConfigError([f"{where}: got no TLS: expected {expected}"])
    return None


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
