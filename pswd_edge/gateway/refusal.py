"""A request that is refused, in words that every profile can put into its own error envelope."""

from collections.abc import Mapping
from typing import Any

from pswd_edge.errors import PswdError


class RefusalError(PswdError):
    """Answered with `status` and an error body.

    `code` is for programs ("INVALID_REQUEST"), `message` a sentence for a person, `details` more lines,
    named values, or None; `headers` go out with it (Retry-After, WWW-Authenticate).
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: str | dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.headers = dict(headers or {})


def unavailable(
    code: str, message: str, *, retry_after_s: int = 2, details: str | dict[str, Any] | None = None
) -> RefusalError:
    """503: nothing is wrong with the request; asking again after `retry_after_s` may help."""
    return RefusalError(503, code, message, details=details, headers={"Retry-After": str(retry_after_s)})


def control_unavailable() -> RefusalError:
    """503 because the control process does not run."""
    return unavailable(
        "CONTROL_UNAVAILABLE",
        "the control process has not completed a cycle for over a second: nothing is measured or commanded now; "
        "ask again in 2 s",
    )
