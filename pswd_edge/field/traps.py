"""SNMP traps and informs: from the site's own devices only, few at a time, to an event and an early read.

A stranger may send what he likes to an open port of the process that controls batteries. So what is cheap comes first:
the kernel's buffer is bounded and read in small portions, the sender's address must be that of a connection, the
message must name its community, or be signed by its user, and what is left waits in a short queue. One is opened each
100 ms.
"""

import asyncio
import hmac
import socket
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pswd_edge.field.drivers.snmp_config import Identity, SnmpConfig
from pswd_edge.field.drivers.snmp_header import INFORM, MESSAGE_MAX, TRAP, Header, peek
from pswd_edge.field.drivers.snmp_notify import TICK_S, Address, TrapEngine
from pswd_edge.field.drivers.snmp_proof import Proof
from pswd_edge.field.trap_port import TrapPort
from pswd_edge.field.trap_words import QUIET, words_of
from pswd_edge.field.work import Tell
from pswd_edge.model.site import Site, TrapSpec

OPEN_EVERY_S = 0.1            # one costs up to 1 ms of the control loop: 1 % at most
WAITING_MAX, WAITING_OF_ONE_MAX = 32, 8
REPEATED_S = 60.0             # the same trap of the same sender is told once in this time
SUMMARY_S = 60.0
RESOLVE_S = 300.0
_REPEATS_MAX = 256
_ENGINE_HEAD = b"\x80\x00\x4f\xb8\x04"  # RFC 3411, SnmpEngineID: format 4, text
_BOOTS_FROM_S = 1_700_000_000


class Sender(NamedTuple):
    """A device's address: all connections to it, with their credentials, and the ids of the devices behind them."""

    configs: tuple[SnmpConfig, ...]
    devices: tuple[str, ...]


class _Waiting(NamedTuple):
    datagram: bytes
    address: Address
    header: Header
    user: SnmpConfig | None


class TrapReceiver:
    """Listens as long as it runs. `hurry` hears the id of each device that has sent one.

    `dropped` counts by reason: "stranger", "unreadable", "credentials", "not authentic", "too many", "not opened",
    "repeated".
    """

    def __init__(self, site: Site, spec: TrapSpec, settings: Mapping[int, Mapping[str, Any]], tell: Tell,
                 hurry: Callable[[str], None]) -> None:
        """`settings` of each SNMP connection by its index, secrets resolved."""
        self._site, self._spec, self._tell, self._hurry = site, spec, tell, hurry
        self._configs = {i: SnmpConfig.model_validate(dict(found)) for i, found in settings.items()}
        self.dropped: Counter[str] = Counter()
        self.opened = 0
        self._senders: dict[str, Sender] = {}
        self._waiting: deque[_Waiting] = deque()
        self._waiting_of: Counter[str] = Counter()
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._arrived = asyncio.Event()
        self._port: TrapPort | None = None
        self._engine: TrapEngine | None = None
        self._proofs: dict[Identity, Proof] = {}

    @property
    def port(self) -> int | None:
        """The port that is listened on, None while it cannot be opened."""
        return None if self._port is None else self._port.number

    async def prepare(self) -> None:
        """Make keys and engine, in a thread; before READY."""
        users = [c for c in self._configs.values() if c.version == "3"]
        communities = [c.community_secret or "" for c in self._configs.values() if c.version == "2c"]
        engine_id = _ENGINE_HEAD + f"pswd-edge:{self._site.id}".encode()[:27]
        boots = int(time.time()) - _BOOTS_FROM_S
        self._engine = await asyncio.to_thread(TrapEngine, engine_id, boots, users, communities)
        self._proofs = await asyncio.to_thread(lambda: {user.identity: Proof(user) for user in users})

    async def run(self) -> None:
        """Until cancelled. A defect of ours ends the receiver, and nothing else."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_open())
                tasks.create_task(self._open_waiting())
                tasks.create_task(self._summarize())
        except* Exception as group:  # noqa: BLE001
            self._tell("warning", "traps_closed", "site", f"no more SNMP traps, by a defect: {group.exceptions[0]!r}; "
                       "polling goes on; restart control, and report it")
        finally:
            if self._port is not None:
                self._port.close()
                self._port = None

    # --- whom it listens to ---------------------------------------------------------------------------------------

    async def _keep_open(self) -> None:
        told = False
        while True:
            complete = await self._resolve()
            try:
                if self._port is None:
                    self._port = TrapPort(self._spec.host, self._spec.port, self._look_at, self._note_lost)
            except OSError as error:
                if not told:
                    self._tell("warning", "traps_closed", "site", f"cannot listen for SNMP traps on {self._spec.host}:"
                               f"{self._spec.port}: {error}; polling goes on; tried again every {TICK_S:g} s")
                told = True
                await asyncio.sleep(TICK_S)
                continue
            if told:
                self._tell("info", "traps_open", "site", f"listening for SNMP traps on {self._spec.host}:{self.port}")
                told = False
            await asyncio.sleep(RESOLVE_S if complete else TICK_S)

    async def _resolve(self) -> bool:
        """Whose datagrams are looked at: the addresses of the connections, of which names may have changed.

        False where a name has no address now.
        """
        loop = asyncio.get_running_loop()
        found: dict[str, list[int]] = {}
        complete = True
        for index, config in self._configs.items():
            try:
                answers = await loop.getaddrinfo(config.host, None, type=socket.SOCK_DGRAM)
            except OSError:
                complete = False
                continue
            for address in {str(a[4][0]) for a in answers}:
                found.setdefault(address, []).append(index)
        self._senders = {a: self._sender(indices) for a, indices in found.items()}
        return complete

    def _sender(self, connections: list[int]) -> Sender:
        devices = tuple(d.id for d in self._site.devices if d.connection in connections)
        return Sender(tuple(self._configs[i] for i in connections), devices)

    # --- each datagram: cheap -------------------------------------------------------------------------------------

    def _note_lost(self, count: int) -> None:
        self.dropped["too many"] += count

    def _look_at(self, datagram: bytes, address: Address) -> None:
        sender = self._senders.get(address[0])
        if sender is None:
            self.dropped["stranger"] += 1
            return
        header = None if len(datagram) > MESSAGE_MAX else peek(datagram)
        if header is None or (header.version == 2 and header.pdu not in (INFORM, TRAP)):
            self.dropped["unreadable"] += 1
            return
        try:
            user = self._credentials(sender, header)
        except LookupError:
            self.dropped["credentials"] += 1
            return
        if user is not None and header.level > 1 and not self._proofs[user.identity].signed(datagram, header):
            self.dropped["not authentic"] += 1
            return
        if len(self._waiting) >= WAITING_MAX or self._waiting_of[address[0]] >= WAITING_OF_ONE_MAX:
            self.dropped["too many"] += 1
            return
        self._waiting_of[address[0]] += 1
        self._waiting.append(_Waiting(datagram, address, header, user))
        self._arrived.set()

    def _credentials(self, sender: Sender, header: Header) -> SnmpConfig | None:
        """With whose keys it is to be proven; None for v2c, of which the community is all there is. Raises LookupError.

        v3 below the user's own level is not looked at, but for the first messages of an inform: they ask for our
        engine id, then signed for our clock, and bring nothing.
        """
        for config in sender.configs:
            if header.version == 2 and config.version == "2c" and self._spec.v2c:
                if hmac.compare_digest(header.community, (config.community_secret or "").encode()):
                    return None
            elif header.version == 3 and config.version == "3" and (not header.engine_id or _fits(header, config)):
                return config
        raise LookupError

    # --- one at a time: dear --------------------------------------------------------------------------------------

    async def _open_waiting(self) -> None:
        while True:
            await self._arrived.wait()
            while self._waiting:
                await self._open(self._waiting.popleft())
                await asyncio.sleep(OPEN_EVERY_S)
            self._arrived.clear()

    async def _open(self, waiting: _Waiting) -> None:
        datagram, address, header, user = waiting
        self._waiting_of[address[0]] -= 1
        if not self._waiting_of[address[0]]:
            del self._waiting_of[address[0]]
        assert self._engine is not None, "prepare() comes before run()"
        if user is not None and not self._engine.knows(header, user):
            await asyncio.to_thread(self._engine.learn, header, user)
            if not self._engine.knows(header, user):  # no engine has such an id
                self.dropped["unreadable"] += 1
                return
        self.opened += 1
        oid = self._engine.receive(datagram, address, user, self._send)
        if oid:
            self._heard(oid, address[0])
        elif header.engine_id and not header.unsynchronized:  # another priv_secret, or an old clock
            self.dropped["not opened"] += 1

    def _send(self, message: bytes, address: Address) -> None:
        if self._port is None or not self._port.send(message, address):
            self.dropped["answer not sent"] += 1

    def _heard(self, oid: str, host: str) -> None:
        sender = self._senders.get(host)
        if sender is None:
            return
        for device in sender.devices:
            self._hurry(device)
        now_s, last_s = time.monotonic(), self._told.pop((host, oid), float("-inf"))
        if now_s - last_s < REPEATED_S:
            self._told[host, oid] = last_s
            self.dropped["repeated"] += 1
            return
        self._told[host, oid] = now_s
        while len(self._told) > _REPEATS_MAX:
            self._told.popitem(last=False)
        names = " or ".join(sender.devices)
        subject = sender.devices[0] if sender.devices else host
        self._tell("info" if oid in QUIET else "warning", "snmp_trap", subject,
                   f"{names or host} ({host}): {words_of(oid)}; its slower points are read now")

    async def _summarize(self) -> None:
        said: Counter[str] = Counter()
        while True:
            for _ in range(int(SUMMARY_S / TICK_S)):
                await asyncio.sleep(TICK_S)
                if self._engine is not None:
                    self._engine.tick(time.time())
            new, said = self.dropped - said, Counter(self.dropped)
            if new:
                self._tell("warning", "traps_dropped", "site", f"SNMP traps dropped in the last {SUMMARY_S:g} s: "
                           + ", ".join(f"{count} {reason}" for reason, count in sorted(new.items())))


def _fits(header: Header, config: SnmpConfig) -> bool:
    enough = header.level >= config.level or (header.level == 2 and header.unsynchronized)
    return enough and header.user == (config.username or "").encode()
