"""A plain MQTT client that remembers all it receives, in paho's own thread."""

import threading
import time
from typing import Any, Self

import orjson
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from simulators.broker import Broker


class Watcher:
    """Subscribed to everything from `__enter__` on; `received` holds (topic, message, retained, arrival)."""

    def __init__(self, broker: Broker) -> None:
        self.received: list[tuple[str, dict[str, Any], bool, float]] = []
        self._ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "watcher", clean_session=False, protocol=MQTTv311)
        self._client.username_pw_set(broker.username, broker.password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message
        self._port = broker.port

    def _on_message(self, _client: Client, _userdata: object, message: Any) -> None:
        self.received.append((message.topic, orjson.loads(message.payload), message.retain, time.monotonic()))

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def wait_until_subscribed_again(self) -> None:
        self._ready.clear()
        assert self._ready.wait(10)

    def of(self, stream: str) -> list[dict[str, Any]]:
        """Messages of a stream, as received, repetitions included."""
        return [body for topic, body, _, _ in list(self.received) if topic.endswith(f"/{stream}")]
