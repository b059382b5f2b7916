"""The MQTT uplink: telemetry, status and events to a broker, numbered and in order; its outage touches nothing else.

    outbox.py     what waits and what is on its way; bounded, oldest dropped and counted
    messages.py   the JSON of the three streams, made from the process image
    session.py    one connection to the broker, on the gateway's event loop
    uplink.py     collects, connects again, sends

The queue lives in memory: what it holds is gone when the gateway stops, and `seq` begins at 1 with each `run`.
"""

from pswd_edge.gateway.uplink.uplink import Uplink

__all__ = ["Uplink"]
