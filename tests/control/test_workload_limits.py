"""Whatever is announced and ordered, in whatever order: the caps together pass no limit, nothing is promised twice."""

from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import MW, small_spec

from pswd_edge.control.facts import Facts
from pswd_edge.control.holds import Ends
from pswd_edge.control.rules.law import range_of
from pswd_edge.control.rules.placement import allowed_w, controller_caps, headroom, load_ceiling_w
from pswd_edge.control.turns import turn_of
from pswd_edge.control.workload_orders import decide_announcement, decide_order
from pswd_edge.model.command import Announce, ControlWorkload, Mode
from pswd_edge.model.control import Branch, Input
from pswd_edge.model.site import Site
from pswd_edge.model.window import begin_utc_s, is_live
from pswd_edge.model.workload import Announcement, Offer, Workload

SPEC = small_spec(load_ceiling_w=30 * MW, migration_targets=("site-b",), branches=(
    Branch("hall", 60 * MW, None, Input(1), controllers=(0, 1, 2, 3)),))
LIMITS = range_of(SPEC, 30 * MW)
SITE = Site(id="s", facility_id="f", name="n", connections=(), devices=(), points=(), circuits=(), control=SPEC,
            listeners=())
USABLE_WH = 24e6
NAMES = st.sampled_from(["a", "b", "c", "d", "e"])

ANNOUNCED = st.builds(
    lambda name, peak, start, length, fast, throttles, offer_s, on: (
        "announce", Announcement(name, "hpc", peak * MW, 1 * MW, 0.0 if fast else 0.05 * MW, length,
                                 can_throttle=throttles, can_migrate=True, dependencies=on), start, offer_s),
    NAMES, st.integers(1, 60), st.sampled_from([None, 50, 200, 500]), st.sampled_from([None, 100, 300]), st.booleans(),
    st.booleans(), st.sampled_from([None, 100.0, 300.0]), st.lists(NAMES, max_size=2).map(tuple))
ORDERED = st.tuples(st.just("order"), NAMES, st.sampled_from(["throttle", "pause", "resume", "terminate", "migrate"]),
                    st.integers(0, 60))
PASSED = st.tuples(st.just("wait"), st.integers(1, 200))


class Story:
    """What the desk does, without disk and loop."""

    def __init__(self) -> None:
        self.now_s, self.workloads = 0.0, dict[str, Workload]()

    @property
    def utc_s(self) -> float:
        return 1e9 + self.now_s

    def facts(self) -> Facts:
        drawn = 20 * MW + sum(allowed_w(w) for w in self.workloads.values())
        room = headroom(SPEC, LIMITS, tuple(self.workloads.values()), drawn, drawn, USABLE_WH)
        return Facts(1, self.utc_s, Mode.AUTO, "", 0.0, 0.0, 0.0, 0.0, LIMITS, room, load_w=drawn, heat_w=drawn,
                     usable_wh=USABLE_WH, rack_w=lambda _: 0.0)

    def keep(self, workload: Workload | None) -> None:
        if workload is not None:
            self.workloads.pop(workload.announcement.workload_id, None)
            self.workloads[workload.announcement.workload_id] = workload

    def do(self, step: tuple) -> None:
        envelope = {"id": "x", "origin": "o", "role": "r", "issued_utc_s": self.utc_s}
        if step[0] == "wait":
            self.now_s += step[1]
        elif step[0] == "order":
            asked = ControlWorkload(**envelope, workload_id=step[1], action=step[2], target_w=step[3] * MW)
            self.keep(decide_order(asked, SITE, self.facts(), self.workloads).workload)
        else:
            _, said, start, offer_s = step
            offer = Offer(None if start is None else self.utc_s + start, None, offer_s)
            asked = Announce(**envelope, workload=said, offer=offer)
            self.keep(decide_announcement(asked, SITE, self.facts(), self.workloads).workload)
        self.turn()

    def turn(self) -> None:
        for workload in [w for w in self.workloads.values() if is_live(w)]:
            begin_s = begin_utc_s(workload) - 1e9
            limit_s = float("inf") if workload.duration_limit_s is None or workload.held else (
                begin_s + workload.duration_limit_s)
            found = turn_of(workload, self.workloads, Ends(start_s=begin_s, limit_s=limit_s), SPEC, self.facts(),
                            self.now_s)
            self.keep(found and found.workload)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(ANNOUNCED, ORDERED, PASSED), max_size=14))
def test_no_story_makes_the_caps_pass_a_limit(steps: list[tuple]) -> None:
    """Grid, cooling, circuit, racks and the batteries' swing hold for all that may run now, in every order."""
    story = Story()
    for step in steps:
        story.do(step)
        running = [w for w in story.workloads.values() if is_live(w) and not w.held]
        promised = SPEC.load_ceiling_w + sum(w.approved_w for w in running)
        assert promised <= min(SPEC.import_limit_w, SPEC.load_maximum_w, SPEC.cooling_rating_w) + 1
        assert sum(w.approved_w for w in running) <= 60 * MW + 1
        for controller, rack in enumerate(SPEC.load_controllers):
            shares = [r for w in running for c, r in zip(w.controllers, w.reserved_w, strict=True) if c == controller]
            assert sum(shares) <= rack.rating_w + 1
        caps = controller_caps(SPEC, tuple(story.workloads.values()))
        assert all(cap_w <= SPEC.load_controllers[c].rating_w for c, cap_w in caps.items())
        swing = LIMITS._replace(ceiling_w=load_ceiling_w(SPEC, LIMITS, tuple(running)))
        room = headroom(SPEC, LIMITS, tuple(running), 0.0, 0.0, USABLE_WH)
        assert swing.ceiling_w - LIMITS.floor_w <= room.carried_w + 1
        assert all(w.target_w is None or allowed_w(w) <= w.target_w for w in running)
