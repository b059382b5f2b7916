"""One connection to the broker. paho-mqtt does the protocol; reading and writing happen on the event loop.

Name resolution, TCP connect and the TLS handshake block, so they run in a thread of their own. A session is used for
one connection and never again: what a broken one had in mind cannot leak into the next.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from pswd_edge.errors import PswdError
from pswd_edge.gateway.uplink.outbox import Message
from pswd_edge.model.site import Uplink as Settings

KEEPALIVE_S = 10
CONNECT_TIMEOUT_S = 5.0
UNDERWAY_MAX = 20    # as Mosquitto's own default, so that neither end has to hold back
_MISC_S = 1.0

Answered = Callable[[int, bool], None]


class BrokerError(PswdError):
    """No session with the broker; the text says why."""


class _Client(Client):
    """paho's client, which leaves the socket open where a TLS handshake fails: a leak at each attempt."""

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        if self._ssl_context is None:
            raise BrokerError("TLS is asked for, but its context could not be made")
        wrapped = self._ssl_context.wrap_socket(tcp_sock, server_hostname=self._host, do_handshake_on_connect=False)
        try:
            wrapped.settimeout(CONNECT_TIMEOUT_S)
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped


class Session:
    """From CONNECT to the end of the connection.

    `ended` is done, with the reason as its result, once the connection is gone. `answered(number, taken)` is called
    for each packet that the broker acknowledges (taken) or refuses.
    """

    def __init__(self, settings: Settings, password: str | None, will: Message, answered: Answered) -> None:
        self._settings, self._answered = settings, answered
        self._loop = asyncio.get_running_loop()
        self._client = self._make_client(password, will)
        self._welcome: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self._watched: int | None = None
        self._misc: asyncio.TimerHandle | None = None
        self.underway_max = UNDERWAY_MAX

    def _make_client(self, password: str | None, will: Message) -> Client:
        settings, new = self._settings, self._settings.version == "5"
        client = _Client(CallbackAPIVersion.VERSION2, settings.client_id, clean_session=None if new else True,
                         protocol=MQTTv5 if new else MQTTv311, reconnect_on_failure=False)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)    # the outbox holds the window
        if settings.username is not None:
            client.username_pw_set(settings.username, password)
        client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        client.on_socket_open = _set_no_delay
        client.on_socket_close = self._on_socket_close
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    async def open(self) -> None:
        """Connect and wait for the broker's welcome.

        Raises:
            BrokerError: it cannot be reached, does not answer, or refuses us.
        """
        try:
            await self._connect_in_thread()
            self._watch()
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._welcome
        except TimeoutError as error:
            self.close()
            raise BrokerError(f"connected, but no answer to CONNECT in {CONNECT_TIMEOUT_S:g} s: expected a broker "
                              f"that speaks MQTT {self._settings.version}") from error
        except (OSError, ValueError) as error:
            self.close()
            raise BrokerError(str(error) or type(error).__name__) from error
        except BaseException:
            self.close()
            raise

    async def _connect_in_thread(self) -> None:
        """A daemon thread, not the loop's pool: a name server that never answers must not hold up the shutdown."""
        done: asyncio.Future[None] = self._loop.create_future()
        threading.Thread(target=self._connect, args=(done,), name="mqtt-connect", daemon=True).start()
        await done

    def _connect(self, done: asyncio.Future[None]) -> None:
        failure: Exception | None = None
        try:
            if self._settings.tls_ca is not None:
                self._client.tls_set_context(ssl.create_default_context(cafile=self._settings.tls_ca))
            self._client.connect(self._settings.host, self._settings.port, KEEPALIVE_S)
        except Exception as error:  # noqa: BLE001  whatever it was belongs to the coroutine that waits
            failure = error
        try:
            self._loop.call_soon_threadsafe(self._connected, done, failure)
        except RuntimeError:    # the loop has gone meanwhile
            _drop(self._client)

    def _connected(self, done: asyncio.Future[None], failure: Exception | None) -> None:
        if done.cancelled():
            _drop(self._client)
        elif failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)

    def _watch(self) -> None:
        found = self._client.socket()
        if found is None:
            raise OSError("the broker closed the connection at once")
        self._watched = found.fileno()
        self._loop.add_reader(self._watched, self._read)
        self._client.on_socket_register_write = self._on_want_write
        self._client.on_socket_unregister_write = self._on_written
        if self._client.want_write():
            self._loop.add_writer(self._watched, self._client.loop_write)
        self._misc = self._loop.call_later(_MISC_S, self._keep_alive)

    def _read(self) -> None:
        while self._client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            found = self._client.socket()
            if not isinstance(found, ssl.SSLSocket) or not found.pending():
                return    # what TLS has already decrypted raises no further read event

    def _keep_alive(self) -> None:
        self._misc = self._loop.call_later(_MISC_S, self._keep_alive)
        self._client.loop_misc()

    def _on_want_write(self, _client: Client, _userdata: object, _socket: object) -> None:
        if self._watched is not None:
            self._loop.add_writer(self._watched, self._client.loop_write)

    def _on_written(self, _client: Client, _userdata: object, _socket: object) -> None:
        if self._watched is not None:
            self._loop.remove_writer(self._watched)

    def _on_socket_close(self, _client: Client, _userdata: object, _socket: object) -> None:
        if self._watched is not None:
            self._loop.remove_reader(self._watched)
            self._loop.remove_writer(self._watched)
            self._watched = None

    def _on_connect(self, _client: Client, _userdata: object, _flags: ConnectFlags, code: ReasonCode,
                    properties: Properties | None) -> None:
        if self._welcome.done():
            return
        if code.is_failure:
            self._welcome.set_exception(BrokerError(f"refused by the broker: {code}"))
            return
        granted = getattr(properties, "ReceiveMaximum", UNDERWAY_MAX)
        self.underway_max = min(UNDERWAY_MAX, granted)
        self._welcome.set_result(None)

    def _on_disconnect(self, _client: Client, _userdata: object, _flags: DisconnectFlags, code: ReasonCode,
                       _properties: Properties | None) -> None:
        reason = f"connection lost: {code}"
        if not self._welcome.done():
            self._welcome.set_exception(BrokerError(reason))
        if not self.ended.done():
            self.ended.set_result(reason)

    def _on_publish(self, _client: Client, _userdata: object, number: int, code: ReasonCode,
                    _properties: Properties | None) -> None:
        self._answered(number, not code.is_failure)

    def send(self, message: Message) -> int | None:
        """Hand a message to the connection with QoS 1; its packet identifier, or None where the connection is gone."""
        answer = self._client.publish(message.topic, message.payload, qos=1, retain=message.retain)
        return answer.mid if answer.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def close(self, reason: str = "closed") -> None:
        """Drop the connection without a word: the broker publishes the will."""
        if self._misc is not None:
            self._misc.cancel()
        if self._welcome.done() and not self._welcome.cancelled():
            self._welcome.exception()    # heard by `open`, or by nobody any more
        _drop(self._client)
        if not self.ended.done():
            self.ended.set_result(reason)

    async def leave(self, timeout_s: float) -> None:
        """Say goodbye, so that the broker forgets the will, and close."""
        self._client.disconnect()
        await asyncio.wait([self.ended], timeout=timeout_s)
        self.close()


def _set_no_delay(_client: Client, _userdata: object, opened: Any) -> None:
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _drop(client: Client) -> None:
    """Close the socket. paho has no public call for a close without DISCONNECT; this one also runs the callbacks."""
    client._sock_close()  # noqa: SLF001  see above
