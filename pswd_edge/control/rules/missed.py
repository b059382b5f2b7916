"""How far the grid was pulled off its ramp, because batteries could not give what was wanted of them."""


def missed_w(before_w: float, wanted_w: float, battery_w: float, seen_w: float, own_step_w: float) -> float:
    """What is missed now, before it fades at the ramp; positive: the grid has more than its ramp had.

    Args:
        before_w: what was missed already.
        wanted_w: what was wanted of the batteries, discharge positive.
        battery_w: what they give of it.
        seen_w: the same with what loads are about to take off or to add.
        own_step_w: the reference's own step of this cycle. Where batteries cannot give even that, the grid stays where
            it is, which is no excursion: were it counted, a full battery would make each excursion last for ever.
    """
    lost_w = unseen_w(wanted_w, battery_w, seen_w)
    if lost_w * own_step_w >= 0:
        return before_w + lost_w
    forgiven_w = min(abs(lost_w), abs(own_step_w))
    return before_w + (lost_w - forgiven_w if lost_w > 0 else lost_w + forgiven_w)


def unseen_w(wanted_w: float, battery_w: float, seen_w: float) -> float:
    """What is wanted of the batteries that neither they give nor loads that go or come; the sign is the battery's."""
    if seen_w >= battery_w:
        return wanted_w - max(battery_w, min(seen_w, wanted_w))
    return wanted_w - min(battery_w, max(seen_w, wanted_w))
