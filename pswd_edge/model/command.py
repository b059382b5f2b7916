"""What may be asked of control, and what it answers. These structs are the door's wire format (MessagePack)."""

from enum import IntEnum, StrEnum

from msgspec import Struct

from pswd_edge.model.workload import Announcement, Offer, Workload

SHELVE_MAX_S = 8 * 3600.0     # one shift: the next one hears of it again
OLDEST_S, AHEAD_S = 30.0, 5.0  # ages of a command that are taken: gateway and control judge alike
PLANNER_ORIGIN = "planner"
HINT_KNOTS_MAX, HINT_AHEAD_MAX_S = 600, 3600.0
HINT_TTL_MIN_S, HINT_TTL_MAX_S = 5.0, 60.0


class Mode(StrEnum):
    """What the control process does with its decisions."""

    OBSERVE = "OBSERVE"    # measure and decide; keep the set-points that were found, for 15 s at most
    AUTO = "AUTO"          # the law acts
    MANUAL = "MANUAL"      # the operator's battery set-point acts, within every limit
    SAFE = "SAFE"          # battery to zero at the ramp limit, nothing restored, alarm latched


class Level(IntEnum):
    """Who asks. The lower number wins; limits of all levels up to the winner's apply."""

    DEVICE = 0
    PROTECTION = 1
    GRID = 2
    OPERATOR = 3
    API = 4
    LAW = 5
    PLANNER = 6


class Envelope(Struct, frozen=True, kw_only=True):
    """What every request carries.

    `id` makes it idempotent: the same id again gets the first outcome. `origin` says who, for the ledger
    ("api:alice", "console", "mqtt"). `role` is the origin's role. `issued_utc_s` older than 30 s or more than
    5 s ahead is refused. `ttl_s` is how long it holds once accepted; 0 means that its kind has no end.
    """

    id: str
    origin: str
    role: str
    issued_utc_s: float
    ttl_s: float = 0.0


class SetMode(Envelope, frozen=True, kw_only=True, tag=True):
    """Change the mode."""

    mode: Mode


class SetPoint(Envelope, frozen=True, kw_only=True, tag=True):
    """Hold a writable point at `value` (its SI unit) for `ttl_s`; None releases it.

    It goes there by `ramp_per_s` (its SI unit in a second) at most; 0: as fast as the site lets it.
    """

    point: str
    value: float | None
    ramp_per_s: float = 0.0


class PrepareCooling(Envelope, frozen=True, kw_only=True, tag=True):
    """Be ready for `heat_w` at the cooler of this id (`control.thermal.coolers`) for `ttl_s`; None lets go of it.

    The law leads that cooler as for announced heat: within its limits, at its rates.
    """

    cooler: str
    heat_w: float | None


class SetBatteryTarget(Envelope, frozen=True, kw_only=True, tag=True):
    """Lead the grid reference so that the batteries together give `power_w` (discharge positive); None ends it.

    The law still makes the battery's set-point: the reference moves toward load - power_w within the ramp limit.
    """

    power_w: float | None
    ramp_w_per_s: float = 0.0


LIMIT_NAMES = ("import_limit_w", "export_limit_w", "ramp_limit_w_per_min", "load_ceiling_w", "load_floor_w")


class SetLimit(Envelope, frozen=True, kw_only=True, tag=True):
    """Keep a limit of the site tighter than the site file has it, for `ttl_s`; None lets go of it.

    `name`: one of LIMIT_NAMES. `from_utc_s` > 0: it counts from then on only, within `ttl_s`; None as value lets go of
    such ones too.
    `emergency` (operator's socket, import limit): the grid's power goes there at once, whatever the ramp limit.
    """

    name: str
    value: float | None
    emergency: bool = False
    from_utc_s: float = 0.0


class Announce(Envelope, frozen=True, kw_only=True, tag=True):
    """A workload wants to run; `offer`: how the asker would have it limited. Control judges within that."""

    workload: Announcement
    offer: Offer | None = None


class ControlWorkload(Envelope, frozen=True, kw_only=True, tag=True):
    """Throttle (to `target_w`), pause, resume, terminate or migrate (to `migration_target`) an announced workload.

    "start" and "expire" are control's own: it writes them down where it lets a workload start, or gives it up.
    """

    workload_id: str
    action: str
    target_w: float | None = None
    ramp_w_per_s: float = 0.0
    pause_s: int | None = None
    migration_target: str = ""


class Reload(Envelope, frozen=True, kw_only=True, tag=True):
    """Take up the site file as it is now. The operator's socket only; what came of it is an event too."""


class Commission(Envelope, frozen=True, kw_only=True, tag=True):
    """Try an actuated point in OBSERVE or MANUAL and write down that it works; operator's socket only.

    `action`: "nudge" (moves a set-point by `percent` of its range, at most 1, and back; a battery with all that leads
    it), "dry_run" (read the state of a switch and select it), "operate" (switch it, and back), "clear" (let a latched
    operation be tried again).
    """

    point: str
    action: str
    percent: float = 1.0


class Acknowledge(Envelope, frozen=True, kw_only=True, tag=True):
    """Somebody has seen the alarm `code`, which is listed."""

    code: str


class Shelve(Envelope, frozen=True, kw_only=True, tag=True):
    """List the alarm `code`, but do not tell of it for `seconds`, at most SHELVE_MAX_S; 0 ends that."""

    code: str
    seconds: float


class Record(Envelope, frozen=True, kw_only=True, tag=True):
    """Record what the rules see; operator's socket only. `action`: "start" (for `seconds`, 0: no end), "stop"."""

    action: str
    seconds: float = 0.0


class Heartbeat(Envelope, frozen=True, kw_only=True, tag=True):
    """Its origin is still there, and holds what it holds (`control.supervision` of the site file)."""


class Hint(Envelope, frozen=True, kw_only=True, tag=True):
    """Where the planner would have the grid's power: `reference_w` (W) at `begin_s` + `after_s`; both as long.

    `begin_s` is of the monotonic clock, which both processes of the machine share. At most HINT_KNOTS_MAX knots,
    rising, with straight lines between; it holds for `ttl_s` (HINT_TTL_MIN_S to HINT_TTL_MAX_S) or until the next one.
    The law goes there within everything else. Taken of the gateway's planner (PLANNER_ORIGIN) only, and not written
    down one by one.
    """

    begin_s: float
    after_s: tuple[float, ...]
    reference_w: tuple[float, ...]


Request = (SetMode | SetPoint | PrepareCooling | SetBatteryTarget | SetLimit | Announce | ControlWorkload | Reload
           | Commission | Acknowledge | Shelve | Record | Heartbeat | Hint)


class Trial(Struct, frozen=True):
    """What commissioning did and saw, in the points' SI units; None where it is not known or was not looked for.

    `points` are those that are commissioned by it. `before` and `asked` are set-points, `shown` the read-back;
    `meter_*` what the effect's meter showed before and after; `grid_change_w` at the grid connection.
    """

    how: str
    points: tuple[str, ...]
    before: float | None = None
    asked: float | None = None
    shown: float | None = None
    meter: str = ""
    meter_before: float | None = None
    meter_after: float | None = None
    grid_change_w: float | None = None
    notes: tuple[str, ...] = ()


class Answer(Struct, frozen=True, kw_only=True):
    """What every outcome carries.

    `limit` names what bound it ("ramp", "soc_min", "import_limit", …) or is empty; `reason` is a sentence for a
    person. `cycle` is the first cycle that uses it: the devices have it when `Report.acknowledged_cycle >= cycle`.
    `expires_utc_s` is its end or None. `workload` is the workload that it made or changed. `trial` is what
    commissioning saw.
    """

    id: str
    reason: str = ""
    limit: str = ""
    cycle: int = 0
    expires_utc_s: float | None = None
    workload: Workload | None = None
    eta_s: float | None = None
    trial: Trial | None = None


class Accepted(Answer, frozen=True, kw_only=True, tag=True):
    """Taken as asked."""


class Clamped(Answer, frozen=True, kw_only=True, tag=True):
    """Taken, but `limit` keeps it to `value` now; `eta_s` says when the asked value comes, None: never."""

    value: float


class Rejected(Answer, frozen=True, kw_only=True, tag=True):
    """Not taken, and never will be as it stands. `code` is for programs: "not_found", "expired", "forbidden"."""

    code: str


class Failed(Answer, frozen=True, kw_only=True, tag=True):
    """Could not be carried out now (ledger disk full, control not ready); asking again may help."""

    code: str


Outcome = Accepted | Clamped | Rejected | Failed
