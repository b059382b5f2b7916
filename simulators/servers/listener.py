"""What every simulated server has in common, for the campus that runs them."""

from typing import Protocol

from simulators.servers.face import Face


class Server(Protocol):
    """One port. `port` is the real one, also where 0 was asked for."""

    port: int

    async def start(self) -> None:
        """Listen."""
        ...

    async def stop(self) -> None:
        """Close everything."""
        ...

    async def refresh(self, face: Face) -> None:
        """Show the values of one of its faces, which was refreshed just now."""
        ...

    async def follow(self) -> None:
        """Go off line or on line as the faults say."""
        ...
