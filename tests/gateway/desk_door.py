"""The real desk behind the gateway's door: what is announced over HTTP is judged, written down and held by control."""

from pathlib import Path

from gateway_campus import Control

from pswd_edge.control.desk import Desk
from pswd_edge.control.facts import Facts
from pswd_edge.control.ledger import Ledger
from pswd_edge.control.rules.law import range_of
from pswd_edge.control.rules.placement import headroom
from pswd_edge.control.turns import Turns
from pswd_edge.errors import DoorError
from pswd_edge.model.command import Level, Mode, Outcome, Request

USABLE_WH = 24e6


class DeskDoor:
    """Answers as control does and publishes what came of it. `down`: nobody answers."""

    def __init__(self, control: Control, folder: Path) -> None:
        self.control, self.folder = control, folder
        self.down, self.ready = False, ""
        self.asked: list[Request] = []

    async def start(self) -> None:
        """A control process on the same disk; again after `stop`: a restart."""
        self.ledger = Ledger(self.folder / "ledger.sqlite")
        self.desk = Desk(self.control.site, self.ledger, self.control.clock, self.facts)
        await self.desk.restore()
        self.turns = Turns(self.desk, self.control.clock, self.facts, lambda _: None)
        self.publish()

    async def stop(self) -> None:
        await self.ledger.close()

    def facts(self) -> Facts:
        spec = self.control.site.control
        limits = range_of(spec, spec.load_ceiling_w)
        room = headroom(spec, limits, tuple(self.desk.workloads.values()), 70e6, 50e6, USABLE_WH)
        return Facts(self.control.cycle, self.control.clock.utc_s(), Mode.AUTO, self.ready, 60e6, 60e6, 50e6, 50e6,
                     limits, room, load_w=70e6, heat_w=50e6, usable_wh=USABLE_WH, rack_w=lambda _: 0.0)

    async def ask(self, request: Request, timeout_s: float) -> Outcome:
        self.asked.append(request)
        if self.down:
            raise DoorError("nobody there")
        outcome = await self.desk.handle(request, Level.API)
        self.publish()
        return outcome

    async def after(self, seconds: float) -> None:
        """Time passes in control."""
        self.control.clock.advance(seconds)
        self.desk.expire(self.control.clock.monotonic_s())
        await self.turns.turn()
        self.publish()

    def publish(self) -> None:
        """As the cycle does it."""
        facts = self.facts()
        cycle = self.control.cycle + 1
        self.control.run(workloads=tuple(self.desk.workloads.values()), headroom=facts.headroom,
                         acknowledged_cycle=cycle)
