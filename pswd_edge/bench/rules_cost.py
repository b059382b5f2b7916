"""What one cycle of the rules costs: four batteries, twenty tiers, a load that trains, predictor on."""

from dataclasses import dataclass

from msgspec.structs import replace

from pswd_edge.model.control import Branch, Input
from pswd_edge.replay.loop import Loop
from pswd_edge.replay.making import Draw, Maker, store
from pswd_edge.replay.plant import Shedder
from pswd_edge.replay.site import GRID, MW, battery, tier

BATTERIES, TIERS, SECONDS = 4, 20, 120.0
RATING_W = 200 * MW           # nothing is over it: what is measured is what every cycle costs


@dataclass(frozen=True)
class Cost:
    """Milliseconds of one cycle of the law."""

    p50_ms: float
    p99_ms: float


def rules_cost(rows: int = 0) -> Cost:
    """Measured over some thousand cycles of a run in the closed loop; `rows`: guarded circuits, and one above them."""
    make = Maker(Draw(1, 1.0, 0.25, SECONDS, predicts=True), 99)
    make.spec = replace(make.spec, batteries=tuple(battery(i, 3 * MW, 28 * MW) for i in range(BATTERIES)),
                        tiers=tuple(tier(i, 4 * MW) for i in range(TIERS)), branches=_tree(rows))
    stores = [store(b, 0.25, 0.2 + 0.2 * i) for i, b in enumerate(make.spec.batteries)]
    case = make.case("cost", make.job([(20.0, 100.0)]), batteries=stores,
                     shedders=[Shedder(1 / TIERS, 0.1) for _ in range(TIERS)])
    loop = Loop(case)
    loop.run()
    return Cost(loop.rules.percentile_ms(50), loop.rules.percentile_ms(99))


def _tree(rows: int) -> tuple[Branch, ...]:
    """Rows that share batteries and tiers, and what they hang on; every meter is the grid's, the only one there is."""
    if rows == 0:
        return ()
    meter, everything = Input(GRID, 500, 50.0), tuple(range(BATTERIES))
    leaves = [Branch(f"row-{i}", RATING_W, rows, meter, batteries=everything[i % rows::rows],
                     tiers=tuple(range(i, TIERS, rows))) for i in range(rows)]
    return (*leaves, Branch("hall", RATING_W, None, meter, children=tuple(range(rows)), batteries=everything,
                            tiers=tuple(range(TIERS))))
