"""Events: what happened, once, in order."""

from typing import Literal

from msgspec import Struct


class Event(Struct, frozen=True):
    """One thing that happened. `number` rises by one; `code` is for programs, `text` for people.

    `subject` names the device, tier, workload or set-point.
    """

    number: int
    utc_s: float
    severity: Literal["info", "warning", "alarm"]
    code: str
    subject: str
    text: str
