"""An OPC UA server that does exactly what a test tells it; what it sends is encoded by asyncua, not by our own code."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary

from pswd_edge.field.drivers.opcua import OpcUaDriver
from simulators.servers.cheap_opcua import ACTIVATE, CREATE, OPEN, READ, CheapLink, head

CREATE_SUBSCRIPTION, CREATE_ITEMS, PUBLISH, DELETE_SUBSCRIPTIONS = 787, 751, 826, 847
TOO_MANY_OPERATIONS = ua.StatusCodes.BadTooManyOperations


class Script:
    """What the server does. `mute_from` is the request from which on it says nothing more."""

    def __init__(self) -> None:
        self.mute_from = ""
        self.port = 0
        self.links: list[_ScriptedLink] = []
        self.asked: list[int] = []
        self.nodes_max = 0
        self.items_max = 0
        self.tells_limits = False
        self.interval_ms: float | None = None
        self.keep_alive_count: int | None = None
        self.lifetime_ms = 3_600_000
        self.sampling_ms: float | None = None
        self.refuse_subscriptions = 0
        self.refuse_filters = False
        self.first_notification = True
        self.flood = False
        self.number = 0
        self.items: list[Any] = []
        self.acknowledged: list[int] = []
        self.waiting: list[tuple[CheapLink, int, int]] = []
        self.subscription = 0
        self.fault: dict[int, int] = {}
        self.read_body: bytes | None = None
        self.session_head: bytes | None = None
        self.user_policy: str | None = None
        self.received = b""

    def driver(self, **settings: object) -> OpcUaDriver:
        return OpcUaDriver({"url": f"opc.tcp://127.0.0.1:{self.port}", "timeout_s": 1.0, **settings})

    def count(self, kind: int) -> int:
        return self.asked.count(kind)

    def cut(self) -> None:
        for link in self.links:
            link.transport.abort()

    def tell(self, values: dict[int, ua.DataValue], number: int | None = None, status: int | None = None) -> None:
        """Notify `values` by client handle; an empty dict is a keep-alive."""
        data: list[Any] = []
        if values:
            items = [ua.MonitoredItemNotification(handle, value) for handle, value in values.items()]
            data.append(ua.DataChangeNotification(MonitoredItems=items))
        if status is not None:
            data.append(ua.StatusChangeNotification(Status=ua.StatusCode(status)))
        message = ua.NotificationMessage()
        message.SequenceNumber = self.number + 1 if number is None else number
        message.NotificationData = data
        if data:
            self.number = message.SequenceNumber
        response = ua.PublishResponse()
        response.Parameters.SubscriptionId = self.subscription
        response.Parameters.NotificationMessage = message
        link, handle, request = self.waiting.pop(0)
        link.send(request, link.encoded(response, handle))

    def handles(self) -> list[int]:
        return [item.RequestedParameters.ClientHandle for item in self.items]

    def refuse_publish(self, code: int) -> None:
        link, handle, request = self.waiting.pop(0)
        link.send(request, head(397, handle, code))


class _ScriptedLink(CheapLink):
    def __init__(self, script: Script) -> None:
        super().__init__(1000, script.lifetime_ms)
        self.script = script
        script.links.append(self)

    def session(self) -> ua.CreateSessionResponse:
        response = super().session()
        if self.script.user_policy is not None:
            uri = self.script.user_policy
            policy = ua.UserTokenPolicy("username", ua.UserTokenType.UserName, SecurityPolicyUri=uri)
            response.Parameters.ServerEndpoints[0].UserIdentityTokens.append(policy)
        return response

    def message(self, frame: bytes) -> None:
        self.script.received += frame
        kinds = {b"HEL": "hello", b"OPN": "channel"}
        if self.script.mute_from == kinds.get(frame[:3], "none"):
            return
        if self.script.mute_from == "all":
            return
        super().message(frame)

    def open(self, frame: bytes) -> None:
        self.script.asked.append(OPEN)
        super().open(frame)

    def answer(self, kind: int, handle: int, number: int, request: bytes) -> None:
        script = self.script
        script.asked.append(kind)
        ways = {CREATE_SUBSCRIPTION: self._create_subscription, CREATE_ITEMS: self._create_items,
                PUBLISH: self._publish, DELETE_SUBSCRIPTIONS: self._delete, READ: self._read}
        if script.mute_from == {CREATE: "session", ACTIVATE: "activation", READ: "read"}.get(kind, "none"):
            return
        if kind == CREATE and script.session_head is not None:
            self.send(number, script.session_head)
        elif kind in script.fault:
            self.send(number, head(397, handle, script.fault[kind]))
        elif kind in ways:
            ways[kind](handle, number, request)
        else:
            super().answer(kind, handle, number, request)

    def _publish(self, handle: int, number: int, request: bytes) -> None:
        script = self.script
        asked = struct_from_binary(ua.PublishRequest, ua.utils.Buffer(request)).Parameters
        script.acknowledged += [a.SequenceNumber for a in asked.SubscriptionAcknowledgements]
        script.waiting.append((self, handle, number))
        if script.flood:
            script.tell({})

    def _delete(self, handle: int, number: int, request: bytes) -> None:
        self.send(number, self.encoded(ua.DeleteSubscriptionsResponse(), handle))

    def _read(self, handle: int, number: int, request: bytes) -> None:
        script = self.script
        if script.read_body is not None:
            self.send(number, head(634, handle) + script.read_body)
        elif 0 < script.nodes_max < self._size(request):
            self.send(number, head(397, handle, TOO_MANY_OPERATIONS))
        else:
            super().answer(READ, handle, number, request)

    def _size(self, request: bytes) -> int:
        return len(struct_from_binary(ua.ReadRequest, ua.utils.Buffer(request)).Parameters.NodesToRead)

    def _create_subscription(self, handle: int, number: int, request: bytes) -> None:
        script = self.script
        if script.refuse_subscriptions:
            self.send(number, head(397, handle, script.refuse_subscriptions))
            return
        asked = struct_from_binary(ua.CreateSubscriptionRequest, ua.utils.Buffer(request)).Parameters
        response = ua.CreateSubscriptionResponse()
        script.subscription += 1
        script.number = 0
        made = response.Parameters
        made.SubscriptionId = script.subscription
        made.RevisedPublishingInterval = script.interval_ms or asked.RequestedPublishingInterval
        made.RevisedMaxKeepAliveCount = script.keep_alive_count or asked.RequestedMaxKeepAliveCount
        made.RevisedLifetimeCount = asked.RequestedLifetimeCount
        self.send(number, self.encoded(response, handle))

    def _create_items(self, handle: int, number: int, request: bytes) -> None:
        script = self.script
        items = struct_from_binary(ua.CreateMonitoredItemsRequest, ua.utils.Buffer(request)).Parameters.ItemsToCreate
        if 0 < script.items_max < len(items):
            self.send(number, head(397, handle, TOO_MANY_OPERATIONS))
            return
        response = ua.CreateMonitoredItemsResponse()
        for item in items:
            result = ua.MonitoredItemCreateResult()
            result.RevisedSamplingInterval = script.sampling_ms or item.RequestedParameters.SamplingInterval
            result.RevisedQueueSize = 1
            if not self.known(item.ItemToMonitor.NodeId):
                result.StatusCode = ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown)
            elif script.refuse_filters and getattr(item.RequestedParameters.Filter, "DeadbandValue", 0):
                result.StatusCode = ua.StatusCode(ua.StatusCodes.BadFilterNotAllowed)
            response.Results.append(result)
        script.items += items
        self.send(number, self.encoded(response, handle))

    def other(self, node: ua.NodeId) -> ua.DataValue:
        limit = {11705: self.script.nodes_max, 11714: self.script.items_max}.get(node.Identifier)
        if node.NamespaceIndex == 0 and limit is not None and self.script.tells_limits:
            return ua.DataValue(ua.Variant(limit, ua.VariantType.UInt32))
        return super().other(node)


@asynccontextmanager
async def scripted() -> AsyncIterator[Script]:
    script = Script()
    server = await asyncio.get_running_loop().create_server(lambda: _ScriptedLink(script), "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        script.cut()
        await asyncio.sleep(0)


def double(value: float, status: int = 0) -> ua.DataValue:
    return ua.DataValue(ua.Variant(value, ua.VariantType.Double), ua.StatusCode(status))


def nodes_of(count: int) -> Sequence[str]:
    return [f"nsu=urn:pswd-edge:cheap;i={i}" for i in range(1, count + 1)]
