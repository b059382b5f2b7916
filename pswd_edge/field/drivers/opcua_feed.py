"""What a server reports of its own accord: subscriptions beside the batch reads, without a task.

A subscription only ever spares reads. Where a server will not make one, makes it slower than the points allow, floods
us, or falls silent for longer than its keep-alive time, the batch is read as if there were none, and the read tells
whether the server is alive. Answers are handled in the callback of their future, so nothing runs that could be leaked.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from asyncua import ua
from asyncua.ua.uaerrors import UaStatusCodeError

from pswd_edge.errors import DecodeError
from pswd_edge.field.drivers.base import Value
from pswd_edge.field.drivers.opcua_answer import NAN
from pswd_edge.field.drivers.opcua_link import Link, Prepared
from pswd_edge.field.drivers.opcua_publication import Publication, items_made, publication, subscription_made
from pswd_edge.field.drivers.opcua_watch import Item, Subscription, Watch, Wish, wanted
from pswd_edge.model.quality import Quality, Reason

INTERVAL_MIN_MS, INTERVAL_MAX_MS = 50, 500
KEEP_ALIVE_COUNT = 2          # publishing intervals without a change until the server says that it is alive
OUTSTANDING = 2               # publish requests that wait at the server, for each subscription
ATTEMPTS_MAX = 3              # to subscribe a batch, in one session
FLOOD_PER_S = 200             # publications of one session
_MARGIN_S = 0.2               # for the network and a busy server
_ALIVE_PERIODS = 3            # as long as a value of the class may age before it is stale
_FIRST_INTERVALS = 4          # until the first notification must have come
_SLOW_SAMPLING = 1.5          # times the period: slower is not what the map asks for
_LONG_S = 600.0               # a subscription that lived so long was no failed attempt
_NO_FILTER = frozenset({
    "BadFilterNotAllowed", "BadMonitoredItemFilterInvalid", "BadMonitoredItemFilterUnsupported",
    "BadDeadbandFilterInvalid",
})  # fmt: skip
_REFUSED = Value(NAN, Quality.BAD, Reason.DEVICE)
_NEVER = Value(NAN, Quality.BAD, Reason.NEVER_READ)


class Feed:
    """The subscriptions of one session. `items_max` bounds one CreateMonitoredItems request."""

    def __init__(self, link: Link, token: ua.NodeId, items_max: int, lifetime_s: float) -> None:
        self._link, self._token = link, token
        self._items_max, self._lifetime_s = items_max, lifetime_s
        self._now_s = asyncio.get_running_loop().time
        self._subscriptions: dict[int, Subscription] = {}
        self._watches: dict[object, tuple[Subscription, Watch]] = {}
        self._attempts: dict[object, int] = {}
        self._handles: dict[int, Item] = {}
        self._last_handle = 0
        self._acknowledge: list[ua.SubscriptionAcknowledgement] = []
        self._outstanding = 0
        self._outstanding_max = 1 << 16
        self._window_s, self._in_window = 0.0, 0
        self._closed = False

    # --- called by the driver -----------------------------------------------------------------------------------

    def values(self, batch: object) -> list[Value] | None:
        """The latest of each node, or None where the server is to be asked: not subscribed, not sure, not complete."""
        found = self._watches.get(batch)
        if found is None:
            return None
        subscription, watch = found
        now_s = self._now_s()
        if subscription.id and now_s - subscription.heard_s > subscription.alive_for_s:
            self._drop(subscription)
            return None
        if watch.left or watch.doubtful or self._link.is_closed:
            return None
        if now_s < watch.complete_by_s and any(i.value is None for i in watch.items):
            return None
        return [_NEVER if item.value is None else item.value for item in watch.items]

    def read_instead(self, batch: object, values: Sequence[Value]) -> None:
        """The batch was read: where it was in doubt, this is what it is now."""
        found = self._watches.get(batch)
        if found is None or not found[1].doubtful:
            return
        watch = found[1]
        watch.doubtful = self._now_s() < watch.sure_from_s
        for item, value in zip(watch.items, values, strict=True):
            item.value = item.value if item.refused else value

    def doubt(self, device: object) -> None:
        """Something was written to this device: what was notified may be older than that."""
        for subscription in self._subscriptions.values():
            self._doubt(subscription, [w for w in subscription.watches if w.wish.device == device])

    def _doubt(self, subscription: Subscription, watches: Sequence[Watch]) -> None:
        """Read on until what the server has sampled by now has been published."""
        for watch in watches:
            watch.doubtful = True
            watch.sure_from_s = self._now_s() + subscription.interval_ms / 1000 + _MARGIN_S

    def lacks(self, batch: object) -> bool:
        """Whether a batch is not subscribed, and may yet be."""
        return not self._closed and batch not in self._watches and self._attempts.get(batch, 0) < ATTEMPTS_MAX

    def want(self, wish: Wish) -> None:
        """Begin to subscribe a batch that is lacking. Never waits."""
        self._attempts[wish.batch] = self._attempts.get(wish.batch, 0) + 1
        interval_ms = min(max(wish.period_ms // 2, INTERVAL_MIN_MS), INTERVAL_MAX_MS)
        subscription = self._subscriptions.get(interval_ms)
        watch = Watch(wish, self._last_handle + 1)
        self._last_handle += len(watch.items)
        self._handles.update(enumerate(watch.items, watch.first_handle))
        if subscription is None:
            subscription = self._subscriptions[interval_ms] = Subscription(interval_ms, self._now_s())
            self._create(subscription)
        subscription.watches.append(watch)
        self._watches[wish.batch] = subscription, watch
        if subscription.id:
            self._add(subscription, watch)

    def close(self) -> None:
        """Answers that still come are thrown away."""
        self._closed = True
        self._forget_all()

    # --- making ---------------------------------------------------------------------------------------------------

    def _ask(self, request: Any, done: Callable[[bytes, int], None], failed: Callable[[], None]) -> None:
        """Send, and hand the answer on with its handle; every failure is one: the batch is read instead."""

        def answered(future: asyncio.Future[bytes]) -> None:
            if self._closed or future.cancelled() or future.exception() is not None:
                return  # the connection is gone, which the next read meets too
            try:
                done(future.result(), handle)
            except (DecodeError, UaStatusCodeError):
                failed()

        try:
            handle, future = self._link.ask(Prepared(request, self._token))
        except ConnectionError:
            return
        future.add_done_callback(answered)

    def _create(self, subscription: Subscription) -> None:
        interval_ms = subscription.interval_ms
        request = ua.CreateSubscriptionRequest()
        request.Parameters = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=interval_ms, RequestedMaxKeepAliveCount=KEEP_ALIVE_COUNT,
            RequestedLifetimeCount=max(3 * KEEP_ALIVE_COUNT, int(self._lifetime_s * 1000 / interval_ms)),
            MaxNotificationsPerPublish=0, PublishingEnabled=True, Priority=0,
        )  # fmt: skip

        def created(answer: bytes, handle: int) -> None:
            made = subscription_made(answer, handle)
            subscription.alive_for_s = made.interval_ms / 1000 * (made.keep_alive_count + 1) + _MARGIN_S
            subscription.interval_ms, subscription.id = made.interval_ms, made.subscription
            subscription.heard_s = self._now_s()
            if not subscription.watches or not self._fast_enough(subscription):
                self._drop(subscription, for_good=True)
                return
            for watch in subscription.watches:
                self._add(subscription, watch)
            self._top_up()

        self._ask(request, created, lambda: self._drop(subscription, for_good=True))

    def _fast_enough(self, subscription: Subscription) -> bool:
        """Whether silence is seen before the values would count as stale."""
        least_ms = min(w.wish.period_ms for w in subscription.watches)
        return 0 < subscription.alive_for_s <= _ALIVE_PERIODS * least_ms / 1000 + _MARGIN_S

    def _add(self, subscription: Subscription, watch: Watch) -> None:
        """Ask for all items of a batch, in requests of bounded size."""
        watch.complete_by_s = self._now_s() + _FIRST_INTERVALS * subscription.interval_ms / 1000
        everything = range(len(watch.items))
        for start in range(0, len(watch.items), self._items_max):
            self._ask_items(subscription, watch, everything[start : start + self._items_max])

    def _ask_items(self, subscription: Subscription, watch: Watch, places: Sequence[int]) -> None:
        request = ua.CreateMonitoredItemsRequest()
        request.Parameters = ua.CreateMonitoredItemsParameters(
            SubscriptionId=subscription.id, TimestampsToReturn=ua.TimestampsToReturn.Source,
            ItemsToCreate=[wanted(watch, place) for place in places],
        )  # fmt: skip

        def made(answer: bytes, handle: int) -> None:
            found = zip(places, items_made(answer, handle, len(places)), strict=True)
            again = [place for place, (status, ms) in found if self._settle(subscription, watch, place, status, ms)]
            if again:
                self._ask_items(subscription, watch, again)

        self._ask(request, made, lambda: self._leave(subscription, watch))

    def _settle(
        self, subscription: Subscription, watch: Watch, place: int, status: int, sampling_ms: float
    ) -> bool:
        """Take note of what became of an item; True where it is to be asked for again, without its deadband."""
        item = watch.items[place]
        if status >= 0x8000_0000:
            if item.filtered and ua.status_codes.get_name_and_doc(status)[0] in _NO_FILTER:
                item.filtered = False
                return True
            item.refused, item.value = True, _REFUSED
        elif not sampling_ms <= _SLOW_SAMPLING * watch.wish.period_ms:
            self._leave(subscription, watch)
        watch.left -= 1
        return False

    # --- publishing -----------------------------------------------------------------------------------------------

    def _top_up(self) -> None:
        """Keep requests waiting at the server, so that it can always speak."""
        made = sum(s.id != 0 for s in self._subscriptions.values())
        while not self._closed and self._outstanding < min(OUTSTANDING * made, self._outstanding_max):
            request = ua.PublishRequest()
            request.Parameters.SubscriptionAcknowledgements, self._acknowledge = self._acknowledge, []
            prepared = Prepared(request, self._token)
            try:
                handle, future = self._link.ask(prepared)
            except ConnectionError:
                return
            self._outstanding += 1
            future.add_done_callback(lambda done, handle=handle: self._published(done, handle))  # type: ignore[misc]

    def _published(self, future: "asyncio.Future[bytes]", handle: int) -> None:
        self._outstanding -= 1
        if self._closed or future.cancelled() or future.exception() is not None:
            return
        try:
            self._take(publication(future.result(), handle))
        except UaStatusCodeError as error:
            self._publish_refused(ua.status_codes.get_name_and_doc(error.code)[0])
        except DecodeError:
            self._forget_all()
        if self._flooded():
            self._attempts = dict.fromkeys(self._attempts, ATTEMPTS_MAX)
            self._forget_all()
        self._top_up()

    def _publish_refused(self, name: str) -> None:
        """Too many requests: the server keeps fewer. A time-out: ask again. Anything else ends the subscriptions."""
        if name == "BadTooManyPublishRequests":
            self._outstanding_max = max(1, self._outstanding)
        elif name != "BadTimeout":
            self._forget_all()

    def _take(self, told: Publication) -> None:
        subscription = next((s for s in self._subscriptions.values() if s.id == told.subscription), None)
        if subscription is None or not told.subscription:
            return
        subscription.heard_s = self._now_s()
        if told.sequence != subscription.next:  # keep-alives carry the number of the next message
            self._doubt(subscription, subscription.watches)
        subscription.next = told.sequence if told.keep_alive else told.sequence % 0xFFFF_FFFF + 1
        for handle, value in told.changes:
            item = self._handles.get(handle)
            if item is not None and not item.refused:
                item.value = value
        if not told.keep_alive:
            self._acknowledge.append(ua.SubscriptionAcknowledgement(subscription.id, told.sequence))
        if told.status is not None and told.status >= 0x8000_0000:
            self._drop(subscription)

    def _flooded(self) -> bool:
        now_s = self._now_s()
        if now_s - self._window_s > 1.0:
            self._window_s, self._in_window = now_s, 0
        self._in_window += 1
        return self._in_window > FLOOD_PER_S

    # --- ending ---------------------------------------------------------------------------------------------------

    def _leave(self, subscription: Subscription, watch: Watch) -> None:
        """One batch cannot be subscribed as it should: it is read from now on."""
        self._attempts[watch.wish.batch] = ATTEMPTS_MAX
        self._remove(watch)
        if watch in subscription.watches:
            subscription.watches.remove(watch)
        if not subscription.watches:
            self._drop(subscription)

    def _drop(self, subscription: Subscription, *, for_good: bool = False) -> None:
        """Forget a subscription, here and at the server."""
        for key, known in tuple(self._subscriptions.items()):
            if known is subscription:
                del self._subscriptions[key]
        lived = self._now_s() - subscription.begun_s > _LONG_S
        for watch in subscription.watches:
            if for_good or lived:
                self._attempts[watch.wish.batch] = ATTEMPTS_MAX if for_good else 0
            self._remove(watch)
        subscription.watches = []
        if subscription.id and not self._closed:
            request = ua.DeleteSubscriptionsRequest()
            request.Parameters.SubscriptionIds = [subscription.id]
            self._ask(request, lambda *_: None, lambda: None)

    def _remove(self, watch: Watch) -> None:
        self._watches.pop(watch.wish.batch, None)
        for handle in range(watch.first_handle, watch.first_handle + len(watch.items)):
            self._handles.pop(handle, None)

    def _forget_all(self) -> None:
        for subscription in tuple(self._subscriptions.values()):
            self._drop(subscription)
