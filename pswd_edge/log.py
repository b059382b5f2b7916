"""Structured logs: one line of key=value to standard error, for the journal."""

import logging
import sys
from pathlib import Path

import structlog


def configure_log(level: str, path: Path | None = None) -> None:
    """Set the level by name ("debug", "info", "warning"; others mean info); `path` instead of standard error."""
    target = sys.stderr if path is None else path.open("a", buffering=1)
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    logging.basicConfig(level=max(number, logging.WARNING), format="%(name)s: %(message)s", stream=target)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level,
                    structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.format_exc_info,
                    structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=target), cache_logger_on_first_use=True)
