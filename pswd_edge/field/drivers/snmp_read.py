"""SNMP GET and GETBULK through gufo_snmp."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import NamedTuple

from gufo.snmp import (
    Aes128Key,
    Aes192Key,
    Aes256Key,
    BaseAuthKey,
    BasePrivKey,
    NoSuchInstance,
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
from gufo.snmp.user import KeyType

from pswd_edge.errors import DecodeError, DeviceError, RefusedError, SilentError, UnreachableError
from pswd_edge.field.drivers.deadline import deadline
from pswd_edge.field.drivers.snmp_config import SnmpConfig
from pswd_edge.field.drivers.snmp_parts import Found, Oids, Parts
from pswd_edge.field.drivers.snmp_plan import Ask
from pswd_edge.field.drivers.snmp_proof import Proof, master_key
from pswd_edge.field.drivers.snmp_session import Session, TooLongError
from pswd_edge.model.quality import Reason

_AUTH_KEYS: dict[str, type[BaseAuthKey]] = {
    "sha": Sha1Key, "sha224": Sha224Key, "sha256": Sha256Key, "sha384": Sha384Key, "sha512": Sha512Key,
}  # fmt: skip
_PRIV_KEYS: dict[str, type[BasePrivKey]] = {"aes128": Aes128Key, "aes192": Aes192Key, "aes256": Aes256Key}
_PROBE = ["1.3.6.1.2.1.1.3.0"]  # sysUpTime: what it answers does not matter
_SILENCES = 3
_NO_TRACEBACK = (SnmpError, OSError)


class _Keys(NamedTuple):
    """A user's keys, for gufo_snmp and for ourselves."""

    user: User
    proof: Proof


class SnmpReader:
    """Reads from one agent, each message sent once.

    gufo_snmp has no close: its descriptor lives as long as the last reference to its session. So no error is raised
    from within gufo's frames: its traceback would keep it open as long as somebody keeps the error.
    """

    def __init__(self, config: SnmpConfig) -> None:
        self._config = config
        self._session: Session | None = None
        self._silences = 0
        self._proven = False
        self._keys: _Keys | None = None
        self._parts: dict[Oids, Parts] = {}
        self._unwalkable: set[str] = set()

    @property
    def engine_id(self) -> bytes:
        """The agent's engine id; empty with v2c and before the agent has told it."""
        if self._session is None or self._config.version == "2c":
            return b""
        return self._session.get_engine_id()

    async def open(self, address: tuple[str, int]) -> None:
        """Make the socket; with v3 find the agent's engine and prove the secrets. Raises as `ask`."""
        config = self._config
        self._silences, self._proven = 0, False
        self._parts.clear()
        self._unwalkable.clear()
        if config.version == "2c":
            self._session = Session(address, community=config.community_secret or "")
            return
        if self._keys is None:
            self._keys = await asyncio.to_thread(_keys, config)
        session = self._session = Session(address, user=self._keys.user, engine_id=config.engine_bytes)
        session.holds = self._keys.proof.of(session.get_engine_id)
        failure = await self._failure_of(self._prove(session), config.timeout_s, "opening")
        if failure is not None:
            raise failure
        self._proven = True

    async def ask(self, asked: Ask, timeout_s: float, what: str) -> Found:
        """The objects that the agent has, by object id; a `Reason` for one that spoils every answer it is in.

        One exchange, but where the agent cannot answer so much at once: then one for each part that it can.

        Raises:
            SilentError: no answer in time.
            UnreachableError: nobody at the address; or, with v3, keys or clock are refused that were good, or the
                third silence in a row. An agent that has restarted wants its new clock, and one that was replaced
                does not answer to another's engine id: only a new session learns them.
            RefusedError: an error status for each of the objects.
            DecodeError: the answer makes no sense.
        """
        if self._session is None:
            raise UnreachableError("not open")
        found: Found = {}
        failure = await self._failure_of(self._collect(self._session, asked, found), timeout_s, what)
        if failure is not None:
            raise failure
        if len(found) == len(asked.oids) and all(value is Reason.REFUSED for value in found.values()):
            raise RefusedError(f"{what}: the agent answered with an error status", "error status")
        return found

    async def _collect(self, session: SnmpSession, asked: Ask, found: Found) -> None:
        if asked.column and asked.column not in self._unwalkable:
            with suppress(TooLongError):
                found.update(await _walked(session, asked))
            if found:
                return
            self._unwalkable.add(asked.column)  # an error status or an empty column: GET tells which

        async def many(oids: Oids) -> dict[str, ValueType]:
            try:
                return await session.get_many(oids)
            except TooLongError:
                return {}

        async def why(oid: str) -> Reason:
            return await _why(session, oid)

        parts = self._parts.get(asked.oids)
        if parts is None:
            parts = self._parts[asked.oids] = Parts(asked.oids)
        found.update(await parts.ask(many, why))

    def close(self) -> None:
        """Close the socket."""
        if self._session is not None:
            self._session.close()
            self._session = None

    async def _failure_of(self, exchange: Awaitable[None], timeout_s: float, what: str) -> DeviceError | None:
        try:
            async with deadline(timeout_s):
                await exchange
        except ConnectionRefusedError:
            return UnreachableError(f"{what}: nobody listens there (ICMP port unreachable)")
        except TimeoutError:
            if self._session is not None and self._session.spoilt:
                return DecodeError(f"{what}: {self._session.spoilt} answers that make no sense in {timeout_s:g} s")
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


async def _walked(session: SnmpSession, asked: Ask) -> Found:
    """GETBULK from the column's first row; what an agent cuts off, because it would not fit, is asked on."""
    found: Found = {}
    left = asked.rows
    async for oid, value in session.getbulk(asked.column, asked.rows):
        found[oid] = value
        left -= 1
        if left == 0:
            break
    return found


async def _why(session: SnmpSession, oid: str) -> Reason:
    """Why a GET of this one object brought nothing; NONE where it brings something now."""
    try:
        value = await session.get(oid)
    except NoSuchInstance:
        return Reason.DEVICE
    except TooLongError:
        return Reason.UNDECODABLE
    return Reason.REFUSED if value is None else Reason.NONE


def _keys(config: SnmpConfig) -> _Keys:
    """Not in gufo_snmp, which makes them of the secrets at each opening: 10 to 34 ms of the loop."""
    auth = priv = None
    if config.auth_secret is not None:
        auth = _AUTH_KEYS[config.auth_protocol](master_key(config.auth_protocol, config.auth_secret), KeyType.Master)
    if config.priv_secret is not None:
        priv = _PRIV_KEYS[config.priv_protocol](master_key(config.auth_protocol, config.priv_secret), KeyType.Master)
    return _Keys(User(config.username or "", auth_key=auth, priv_key=priv), Proof(config))
