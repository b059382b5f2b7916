"""Traps and informs through pysnmp: proves them, opens them, acknowledges informs. It has no socket and no clock.

pysnmp needs about 1 ms of CPU for one of v3, 0.3 ms for v2c: whoever calls `receive` bounds how often.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config as lcd
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413.ntfrcv import NotificationReceiver
from pysnmp.proto import rfc1902

from pswd_edge.field.drivers.snmp_config import SnmpConfig
from pswd_edge.field.drivers.snmp_header import Header
from pswd_edge.field.drivers.snmp_write import AUTH, PRIV

Address = tuple[str, int]
Send = Callable[[bytes, Address], None]
_TRAP_OID = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)  # snmpTrapOID.0: RFC 3418
TICK_S = 10.0
_ENGINES_MAX = 64             # senders' engine ids kept; the oldest goes
_USM = 3


class _Keys(NamedTuple):
    """One user's keys, not yet made an engine's own: a second of work for an attacker, 20 ms for us, done once."""

    user: str
    auth: Any
    auth_key: Any
    priv: Any
    priv_key: Any
    level: int


class TrapEngine:
    """Our end of all notifications. Make it in a thread: it takes about 100 ms, and 20 ms for each user."""

    def __init__(self, engine_id: bytes, boots: int, users: Iterable[SnmpConfig], communities: Iterable[str]) -> None:
        """`boots` must grow from start to start. Of two users of one name the first can send informs."""
        self._engine = engine = SnmpEngine()
        self._own_id = engine_id
        names = engine.get_mib_builder().import_symbols("__SNMP-FRAMEWORK-MIB", "snmpEngineID", "snmpEngineBoots")
        names[0].syntax = engine.snmpEngineID = names[0].syntax.clone(engine_id)
        names[1].syntax = names[1].syntax.clone(boots)
        self._keys = {i: _keys(user) for i, user in {user.identity: user for user in users}.items()}
        self._known: OrderedDict[tuple[bytes, str], _Keys] = OrderedDict()
        for keys in reversed(self._keys.values()):
            self._add(engine_id, keys)
        for number, community in enumerate(sorted(set(communities))):
            lcd.add_v1_system(engine, f"community-{number}", community)
        engine.transport_dispatcher = self
        self._send: Send = lambda _message, _address: None
        self._opened: list[str] = []
        self._level = 1
        NotificationReceiver(engine, self._notified)

    def knows(self, header: Header, user: SnmpConfig) -> bool:
        """Whether there are keys for this sender: a trap is proven with those for its engine, an inform for ours."""
        engine_id = header.engine_id
        if not engine_id or engine_id == self._own_id:
            return True
        return self._known.get((engine_id, str(user.username))) is self._keys[user.identity]

    def learn(self, header: Header, user: SnmpConfig) -> None:
        """Make the keys for a sender's engine, where that can be one (`knows` tells).

        Takes about 10 ms: in a thread, while nothing else uses this object.
        """
        while len(self._known) >= _ENGINES_MAX:
            (old_id, old_user), _ = self._known.popitem(last=False)
            lcd.delete_v3_user(self._engine, old_user, rfc1902.OctetString(old_id))
        keys = self._keys[user.identity]
        try:
            self._add(header.engine_id, keys)
        except Exception:  # noqa: BLE001  # an engine id that pysnmp does not take: it stays unknown
            return
        self._known[header.engine_id, keys.user] = keys

    def receive(self, datagram: bytes, address: Address, user: SnmpConfig | None, send: Send) -> str:
        """The trap's object id, dotted; "" where there is none: not authentic, not readable, or the talk before one.

        `user` are the credentials with which the sender must have proven itself (see `knows`), None for a community
        that the caller has compared.
        """
        self._opened, self._send = [], send
        self._level = 1 if user is None else self._keys[user.identity].level
        try:
            self._engine.message_dispatcher.receive_message(self._engine, udp.DOMAIN_NAME, address, datagram)
        except Exception:  # noqa: BLE001  # whatever a stranger's bytes do inside pysnmp, they end here
            return ""
        return self._opened[-1] if self._opened else ""

    def tick(self, now_s: float) -> None:
        """Let pysnmp forget what it waits for; every `TICK_S`."""
        self._engine.message_dispatcher.receive_timer_tick(self._engine, now_s)
        for part in (*self._engine.message_processing_subsystems.values(), *self._engine.security_models.values()):
            part.receive_timer_tick(self._engine, now_s)

    def send_message(self, message: bytes, _domain: Any, address: Any) -> None:
        """What pysnmp calls to answer: acknowledgements, our engine id and clock."""
        self._send(bytes(message), (str(address[0]), int(address[1])))

    def get_timer_resolution(self) -> float:
        """What pysnmp asks to know how long a tick is, s."""
        return TICK_S

    def _add(self, engine_id: bytes, keys: _Keys) -> None:
        lcd.add_v3_user(
            self._engine, keys.user, keys.auth, keys.auth_key, keys.priv, keys.priv_key,
            securityEngineId=rfc1902.OctetString(engine_id), authKeyType=lcd.USM_KEY_TYPE_MASTER,
            privKeyType=lcd.USM_KEY_TYPE_MASTER,
        )  # fmt: skip

    def _notified(self, engine: Any, _state: Any, _id: Any, _name: Any, found: Any, _context: Any) -> None:
        """Only at the level that the user is configured for: pysnmp itself lets a user send in clear."""
        request = engine.observer.get_execution_context("rfc3412.receiveMessage:request")
        if int(request["securityModel"]) == _USM and int(request["securityLevel"]) < self._level:
            return
        self._opened += [str(value) for name, value in found if tuple(name) == _TRAP_OID]


def _keys(user: SnmpConfig) -> _Keys:
    auth, auth_key, priv, priv_key = lcd.USM_AUTH_NONE, None, lcd.USM_PRIV_NONE, None
    if user.auth_secret is not None:
        auth = AUTH[user.auth_protocol]
        auth_key = lcd.AUTH_SERVICES[auth].hash_passphrase(rfc1902.OctetString(user.auth_secret))
    if user.priv_secret is not None:
        priv = PRIV[user.priv_protocol]
        priv_key = lcd.PRIV_SERVICES[priv].hash_passphrase(auth, rfc1902.OctetString(user.priv_secret))
    return _Keys(str(user.username), auth, auth_key, priv, priv_key, user.level)
