"""A deadline that no library can outlive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


def heed_cancellation() -> None:
    """Raise the CancelledError that a library swallowed.

    `asyncio.wait_for` of Python 3.11 returns the result instead where the task is cancelled in the very iteration
    in which the awaited thing ends; asyncua and gufo_snmp both use it. The task itself still knows.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """As `asyncio.timeout` (raises TimeoutError), and `heed_cancellation` at the end."""
    async with asyncio.timeout(seconds):
        yield
        heed_cancellation()
