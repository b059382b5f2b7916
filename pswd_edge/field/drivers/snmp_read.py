"""SNMP GET through gufo_snmp."""

from collections.abc import Awaitable, Sequence

from gufo.snmp import (
    Aes128Key,
    Aes192Key,
    Aes256Key,
    BaseAuthKey,
    BasePrivKey,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
    SnmpAuthError,
    SnmpDecodeError,
    SnmpError,
    User,
)
from gufo.snmp.aio import SnmpSession
from gufo.snmp.typing import ValueType

from pswd_edge.errors import DecodeError, DeviceError, RefusedError, SilentError, UnreachableError
from pswd_edge.field.drivers.deadline import deadline
from pswd_edge.field.drivers.snmp_config import SnmpConfig

_AUTH_KEYS: dict[str, type[BaseAuthKey]] = {
    "sha": Sha1Key, "sha224": Sha224Key, "sha256": Sha256Key, "sha384": Sha384Key, "sha512": Sha512Key,
}  # fmt: skip
_PRIV_KEYS: dict[str, type[BasePrivKey]] = {"aes128": Aes128Key, "aes192": Aes192Key, "aes256": Aes256Key}
_PROBE = ["1.3.6.1.2.1.1.3.0"]  # sysUpTime: what it answers does not matter
_SILENCES = 3
_NO_TRACEBACK = (SnmpError, OSError)


class SnmpReader:
    """GETs from one agent, each sent once.

    gufo_snmp has no close: a socket lives as long as the last reference to its session. So no error is raised from
    within gufo's frames: its traceback would keep the socket open as long as somebody keeps the error.
    """

    def __init__(self, config: SnmpConfig) -> None:
        self._config = config
        self._session: SnmpSession | None = None
        self._silences = 0
        self._proven = False

    @property
    def engine_id(self) -> bytes:
        """The agent's engine id; empty with v2c and before the agent has told it."""
        if self._session is None or self._config.version == "2c":
            return b""
        return self._session.get_engine_id()

    async def open(self, address: tuple[str, int]) -> None:
        """Make the socket; with v3 find the agent's engine and prove the secrets. Raises as `get`."""
        config = self._config
        self._silences, self._proven = 0, False
        if config.version == "2c":
            self._session = SnmpSession(*address, community=config.community_secret or "", timeout=config.timeout_s)
            return
        self._session = SnmpSession(
            *address, user=_user(config), engine_id=config.engine_bytes, timeout=config.timeout_s
        )
        failure = await self._failure_of(self._prove(self._session), config.timeout_s, "opening")
        if failure is not None:
            raise failure
        self._proven = True

    async def get(self, oids: Sequence[str], timeout_s: float, what: str) -> dict[str, ValueType]:
        """The objects that the agent has, by object id.

        Raises:
            SilentError: no answer in time.
            UnreachableError: nobody at the address; or, with v3, keys or clock are refused that were good, or the
                third silence in a row. An agent that has restarted wants its new clock, and one that was replaced
                does not answer to another's engine id: only a new session learns them.
            RefusedError: not one value. An error status looks so too, gufo_snmp does not tell it.
            DecodeError: the answer makes no sense.
        """
        if self._session is None:
            raise UnreachableError("not open")
        found: dict[str, ValueType] = {}
        failure = await self._failure_of(_collect(self._session, oids, found), timeout_s, what)
        if failure is not None:
            raise failure
        if not found:
            raise RefusedError(f"{what}: an answer without a value: the agent has none of them, or failed", "no value")
        return found

    def close(self) -> None:
        """Let go of the socket."""
        self._session = None

    async def _failure_of(self, exchange: Awaitable[None], timeout_s: float, what: str) -> DeviceError | None:
        try:
            async with deadline(timeout_s):
                await exchange
        except TimeoutError as exc:
            if "refused" in str(exc.__cause__):  # gufo_snmp tells ECONNREFUSED as a time-out
                return UnreachableError(f"{what}: nobody listens there (ICMP port unreachable)")
            return self._silence(f"{what}: no answer in {timeout_s:g} s")
        except _NO_TRACEBACK as exc:
            return self._translated(exc, what)
        self._silences = 0
        return None

    def _silence(self, text: str) -> DeviceError:
        self._silences += 1
        if self._config.version == "3" and self._silences >= _SILENCES:
            return UnreachableError(f"{text}, {self._silences} times in a row; connecting anew")
        return SilentError(text)

    async def _prove(self, session: SnmpSession) -> None:
        await session.refresh()
        await session.get_many(_PROBE)

    def _translated(self, exc: Exception, what: str) -> DeviceError:
        if isinstance(exc, SnmpAuthError) and self._config.version == "2c":
            return RefusedError(f"{what}: the agent answered authorizationError", "authorizationError")
        if isinstance(exc, SnmpAuthError) and self._proven:
            return UnreachableError(f"{what}: the agent no longer takes our keys or clock; connecting anew")
        if isinstance(exc, SnmpAuthError):
            return RefusedError(
                f"{what}: the agent refused user {self._config.username!r}: check username, auth_protocol and "
                "auth_secret", "authentication failed",
            )  # fmt: skip
        if isinstance(exc, SnmpDecodeError):
            return DecodeError(f"{what}: the answer makes no sense ({exc})")
        if isinstance(exc, SnmpError):
            return RefusedError(f"{what}: {exc}", str(exc))
        return UnreachableError(f"{what}: {exc}")


async def _collect(session: SnmpSession, oids: Sequence[str], found: dict[str, ValueType]) -> None:
    found.update(await session.get_many(oids))


def _user(config: SnmpConfig) -> User:
    auth = priv = None
    if config.auth_secret is not None:
        auth = _AUTH_KEYS[config.auth_protocol](config.auth_secret.encode())
    if config.priv_secret is not None:
        priv = _PRIV_KEYS[config.priv_protocol](config.priv_secret.encode())
    return User(config.username or "", auth_key=auth, priv_key=priv)
