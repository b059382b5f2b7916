"""Live streams over WebSocket: one message a row of control, made once for all clients."""

from pswd_edge.gateway.streams.client import StreamClient
from pswd_edge.gateway.streams.hub import StreamHub
from pswd_edge.gateway.streams.stream import Stream

__all__ = ["Stream", "StreamClient", "StreamHub"]
