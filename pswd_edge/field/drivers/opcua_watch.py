"""What stands in a subscription: the batches that are watched, and each of their nodes."""

from collections.abc import Sequence
from typing import NamedTuple

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds

from pswd_edge.field.drivers.base import Value


class Wish(NamedTuple):
    """A batch of one device that would rather be notified: nodes and deadbands (raw units, 0: any change), in order."""

    batch: object
    device: object
    nodes: Sequence[ua.NodeId]
    deadbands: Sequence[float]
    period_ms: int


class Item:
    """One monitored node; `value` is None until its first notification."""

    __slots__ = ("filtered", "refused", "value")

    def __init__(self, *, filtered: bool) -> None:
        self.value: Value | None = None
        self.refused = False
        self.filtered = filtered


class Watch:
    """A batch in its subscription. Where `doubtful`, its values do not count until a read after `sure_from_s`."""

    def __init__(self, wish: Wish, first_handle: int) -> None:
        self.wish = wish
        self.first_handle = first_handle
        self.items = [Item(filtered=d > 0) for d in wish.deadbands]
        self.left = len(self.items)      # of which the server has not said whether it takes them
        self.complete_by_s = 0.0
        self.doubtful = False
        self.sure_from_s = 0.0


class Subscription:
    """One subscription of the session; `id` is 0 until the server has made it. It was begun at `begun_s`."""

    def __init__(self, interval_ms: int, begun_s: float) -> None:
        self.interval_ms: float = interval_ms
        self.begun_s = begun_s
        self.id = 0
        self.alive_for_s = 0.0
        self.heard_s = 0.0
        self.next = 1
        self.watches: list[Watch] = []


def wanted(watch: Watch, place: int) -> ua.MonitoredItemCreateRequest:
    """The item with room for one value: the newest pushes out an older one."""
    item, wish = watch.items[place], watch.wish
    parameters = ua.MonitoringParameters(
        ClientHandle=watch.first_handle + place, SamplingInterval=wish.period_ms, QueueSize=1, DiscardOldest=True
    )
    if item.filtered:
        parameters.Filter = ua.DataChangeFilter(
            Trigger=ua.DataChangeTrigger.StatusValue, DeadbandType=ua.DeadbandType.Absolute,
            DeadbandValue=wish.deadbands[place],
        )  # fmt: skip
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=wish.nodes[place], AttributeId=AttributeIds.Value),
        MonitoringMode=ua.MonitoringMode.Reporting, RequestedParameters=parameters,
    )  # fmt: skip
