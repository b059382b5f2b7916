"""POST /power/control: what clients send, and what they hear of each command."""

from typing import Annotated, Literal

from pydantic import Field

from pswd_edge.gateway.message import Answer, Message, Power, Time

COMMANDS_MAX = 16
_MW_MAX = 1e9          # as of `Power`

Seconds = Annotated[int, Field(ge=0, le=10**9)]
SignedPower = Annotated[float, Field(ge=-_MW_MAX, le=_MW_MAX)]

Action = Literal["charge", "discharge", "standby", "load_smooth", "set_cap", "release_cap", "switch_on", "switch_off",
                 "signal_load_change"]
Status = Literal["executed", "pending", "failed", "rejected"]


class PowerParameters(Message):
    """What an action needs; a field that it has no use for is refused, so that nobody believes it was followed."""

    power_mw: Annotated[Power | None, Field(
        description="MW that the batteries give or take, or that a cap allows.")] = None
    duration_sec: Annotated[Seconds | None, Field(
        description="How long it holds; left out or 0: 900 s. At most 24 h.")] = None
    ramp_rate_mw_per_sec: Annotated[Power | None, Field(
        description="MW/s at most, within the site's ramp limit; left out or 0: that limit alone.")] = None
    delta_power_mw: Annotated[SignedPower | None, Field(
        description="MW by which the site's load is going to change; more load is positive.")] = None
    notification_time_sec: Annotated[Seconds | None, Field(
        description="Seconds from now until it changes; left out: now.")] = None
    outlet: Annotated[int | None, Field(ge=1, le=1000, description="Number of the outlet of a PDU.")] = None


class PowerCommand(Message):
    """One command to one target."""

    target: Annotated[str, Field(
        min_length=1, max_length=128,
        description="`battery_system` or `battery_system_1`: all batteries together; `grid_interface`; or the id of a "
                    "load controller or a PDU.")]
    action: Action
    parameters: PowerParameters = PowerParameters()


class PowerControl(Message):
    """All commands are checked before the first one is sent; each target may stand there once."""

    commands: Annotated[list[PowerCommand], Field(min_length=1, max_length=COMMANDS_MAX)]


class CommandOutcome(Answer):
    """What became of one command; fields that do not apply are left out."""

    target: str
    action: Action
    command_id: str
    status: Annotated[Status, Field(
        description="executed: every device has it, or the grid operator acknowledged; pending: taken, not yet "
                    "there; failed: taken, no device follows; rejected: not taken.")]
    code: Annotated[str | None, Field(description="Why it was rejected, for programs.")] = None
    limit: Annotated[str | None, Field(description="What bound it.")] = None
    message: Annotated[str | None, Field(description="Why, for people.")] = None
    granted_power_mw: Annotated[float | None, Field(description="What it is kept to now, where not as asked.")] = None
    eta_sec: Annotated[float | None, Field(description="Seconds until what was asked is reached.")] = None
    expires_at: Time | None = None


class PowerControlAnswer(Answer):
    """One outcome a command, in the order in which they were sent."""

    facility_id: str
    timestamp: Time
    commands: list[CommandOutcome]
