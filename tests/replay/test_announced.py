"""Announcements in closed loop: what they are worth is in `bench control`, what a lie may break is here."""

import pytest

from pswd_edge.bench.announced import _KINDS, _case
from pswd_edge.bench.control import plan_of
from pswd_edge.planning.scorecard import Scorecard, scorecard
from pswd_edge.replay.loop import Loop, bounds_of
from pswd_edge.replay.making import Draw

DRAW = Draw(301, 1.0, 0.25, 600.0)


def card(kind: str, name: str) -> Scorecard:
    case = _case(DRAW, kind, name)
    return scorecard(Loop(case).run(), bounds_of(case))
