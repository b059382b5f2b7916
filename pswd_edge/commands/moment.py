"""Times as people at a site type them."""

import re
import time
from datetime import UTC, datetime, timedelta

from pswd_edge.commands.quantity import seconds
from pswd_edge.errors import PswdError

_OF_DAY = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?")


def utc_of(text: str, now_utc_s: float | None = None) -> float:
    """`2026-03-01T02:10:00Z`, `02:10` or `02:10:30` (the last time that it was so, UTC), `-5m`. Raises PswdError."""
    now_utc_s = time.time() if now_utc_s is None else now_utc_s
    try:
        if text.strip() == "now":
            return now_utc_s
        if text.startswith("-"):
            return now_utc_s - seconds(text[1:])
        found = _OF_DAY.fullmatch(text.strip())
        if found is not None:
            return _of_day(int(found[1]), int(found[2]), float(found[3] or 0.0), now_utc_s)
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise PswdError(f"got time {text!r}: expected 2026-03-01T02:10:00Z, 02:10, 02:10:30 (UTC) or -5m") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def next_utc(text: str, now_utc_s: float) -> float:
    """A time to come: as `utc_of`, but `14:00` is the next one, and `+30min` is from now. Raises PswdError."""
    if text.startswith("+"):
        try:
            return now_utc_s + seconds(text[1:])
        except ValueError as error:
            raise PswdError(f"got time {text!r}: expected +30min or +90s") from error
    found = utc_of(text, now_utc_s)
    return found + 86_400 if found <= now_utc_s and _OF_DAY.fullmatch(text.strip()) else found


def _of_day(hour: int, minute: int, second: float, now_utc_s: float) -> float:
    if hour > 23 or minute > 59 or second >= 60:
        raise ValueError(hour)
    today = datetime.fromtimestamp(now_utc_s, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    at = (today + timedelta(hours=hour, minutes=minute, seconds=second)).timestamp()
    return at if at <= now_utc_s else at - 86_400
