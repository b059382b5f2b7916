"""A bare SNMP reader for finding out what is there: GET, and GETNEXT among neighbours. It guesses no credentials."""

import contextlib
from typing import Any, NamedTuple

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
    SnmpError,
    User,
)
from gufo.snmp.aio import SnmpSession

from pswd_edge.errors import DeviceError, RefusedError, SilentError
from pswd_edge.field.drivers.deadline import deadline
from pswd_edge.field.drivers.said import printable
from pswd_edge.field.drivers.snmp_config import SnmpConfig

_AUTH: dict[str, type[BaseAuthKey]] = {
    "sha": Sha1Key, "sha224": Sha224Key, "sha256": Sha256Key, "sha384": Sha384Key, "sha512": Sha512Key}
_PRIV: dict[str, type[BasePrivKey]] = {"aes128": Aes128Key, "aes192": Aes192Key, "aes256": Aes256Key}


class Found(NamedTuple):
    """An object: `type` is "number", "text" or "absent"."""

    oid: str
    type: str
    value: str


class Agent:
    """One agent; `config` has the secrets themselves. The socket goes with the object."""

    def __init__(self, config: SnmpConfig) -> None:
        self._config = config
        if config.version == "2c":
            self._session = SnmpSession(config.host, config.port, community=config.community_secret or "",
                                        timeout=config.timeout_s)
        else:
            self._session = SnmpSession(config.host, config.port, user=_user(config), engine_id=config.engine_bytes,
                                        timeout=config.timeout_s)

    async def open(self) -> None:
        """With v3 find the engine and prove the secrets. Raises DeviceError."""
        if self._config.version == "3":
            await self._asked(self._session.refresh())

    async def get(self, *oids: str) -> list[Found]:
        """These objects, absent ones included. Raises DeviceError."""
        found = await self._asked(self._session.get_many([o.lstrip(".") for o in oids]))
        return [_found(o, found.get(o.lstrip("."))) for o in oids]

    async def neighbours(self, oid: str, most: int = 10) -> list[Found]:
        """The first objects below the parent of an object id, by GETNEXT."""
        parent = oid.lstrip(".").removesuffix(".0").rpartition(".")[0]
        found: list[Found] = []

        async def walk() -> None:
            async for name, value in self._session.getnext(parent):
                found.append(_found(str(name), value))
                if len(found) >= most:
                    return

        await self._asked(walk())
        return found

    async def _asked(self, work: Any) -> Any:
        where = f"{self._config.host}:{self._config.port}"
        error: DeviceError
        try:
            async with deadline(self._config.timeout_s):
                return await work
        except TimeoutError:
            error = SilentError(f"{where}: no answer in {self._config.timeout_s:g} s (no agent, or it does not take "
                                "these credentials: agents keep silent then)")
        except (SnmpError, OSError) as exc:
            error = RefusedError(f"{where}: {str(exc) or type(exc).__name__}", type(exc).__name__)
        with contextlib.suppress(AttributeError):
            work.close()
        raise error


def _found(oid: str, raw: object) -> Found:
    if raw is None:
        return Found(oid, "absent", "")
    if isinstance(raw, int | float):
        return Found(oid, "number", f"{raw}")
    text = raw if isinstance(raw, bytes) else str(raw).encode("ascii", "replace")
    return Found(oid, "text", printable(text))


def _user(config: SnmpConfig) -> User:
    auth = None if config.auth_secret is None else _AUTH[config.auth_protocol](config.auth_secret.encode())
    priv = None if config.priv_secret is None else _PRIV[config.priv_protocol](config.priv_secret.encode())
    return User(config.username or "", auth_key=auth, priv_key=priv)
