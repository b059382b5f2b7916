"""What happens to the campus and when: timed events on a plant, in plant time.

The demo scenario and the arithmetic behind it (MW; R_int is the inner ramp limit, about 6.5 MW/min)::

    0     s  calm: base, idle racks and cooling, 25
    15    s  training job of 80 over four racks, 1 Hz iterations (mean 72: load 89); the grid reference climbs at R_int
    60    s  checkpoint: the job waits at 40-50 % for 8 s
    95    s  abort within 50-200 ms; load 26, the reference has reached about 34
    104   s  inference surge: the racks draw 58 of 100, load about 74, batteries 40
    112   s  bess-1 is lost while it gives 24 of these; bess-2 can give 40, and the surge grows by 10 from 111 to 116:
             what is asked of bess-2 passes its rating, a tier must go
    120   s  bess-1 is back
    126   s  the surge is over
    150   s  all again

Why 58: bess-2 alone is just enough at the loss, so the deficit begins near zero and grows at 2 a second. What the
deficit reaches before a tier works moves the grid and stays in its 60 s mean, so it must begin small; as it grows, it
is above zero in every cycle until a tier works, whatever the law's tracking has done with its reference meanwhile.
Without a tier the grid moves by 10 or so, and its 60 s mean ramp passes 10 MW/min.

Each time is moved by up to 2 s either way, drawn anew for each repetition, and a restart is never drawn sooner than
70 s after the abort before it (else the two errors of the feed-forward filter meet in one 10 s mean figure).
In later repetitions the reference has climbed to the mean load (about 60) and the loss leaves no deficit.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from simulators.loads import Enveloped, InferenceLoad, TrainingJob
from simulators.plant import Plant

RACKS = ("rack-1", "rack-2", "rack-3", "rack-4")
JOB_W = 80e6
SURGE_W = 58e6
SURGE_GROWTH_W_PER_S = 2.0e6
SURGE_GROWS_S = (-1.0, 4.0)      # from the loss on
DEMO_REPEAT_S = 150.0
DEMO_TIMES_S = (15.0, 60.0, 95.0, 104.0, 112.0, 120.0, 126.0)
JITTER_S = 2.0
RESTART_S = 70.0
CHECKPOINT_S = 8.0


@dataclass(frozen=True)
class Event:
    """One thing that happens, `at_s` after the start of its repetition; `apply` gets the plant."""

    at_s: float
    name: str
    apply: Callable[[Plant], None]


class Scenario:
    """Events in time. `script` makes the events of each repetition from its number, counted from 0.

    `happened` lists the last hundred (plant time, name). Nothing happens before `start`.
    """

    def __init__(self, script: Callable[[int], list[Event]], repeat_s: float) -> None:
        self._script = script
        self._repeat_s = repeat_s
        self._began_s: float | None = None
        self._repetition = 0
        self._events: list[Event] = []
        self.happened: list[tuple[float, str]] = []

    def start(self, time_s: float) -> None:
        """Begin with the first repetition at this plant time."""
        self._repetition = 0
        self._begin(time_s)

    def _begin(self, time_s: float) -> None:
        self._began_s = time_s
        self._events = sorted(self._script(self._repetition), key=lambda e: e.at_s)

    def advance(self, plant: Plant) -> None:
        """Let everything happen that is due at the plant's time; call it once before each step."""
        if self._began_s is None:
            return
        elapsed_s = plant.time_s - self._began_s
        while self._events and self._events[0].at_s <= elapsed_s + 1e-9:
            event = self._events.pop(0)
            event.apply(plant)
            self.happened = [*self.happened[-99:], (plant.time_s, event.name)]
        if elapsed_s >= self._repeat_s - 1e-9:
            self._repetition += 1
            self._begin(self._began_s + self._repeat_s)


@dataclass(frozen=True)
class DemoTimes:
    """When the events of one repetition come, in s after its start."""

    job: float
    checkpoint: float
    abort: float
    surge: float
    loss: float
    return_: float
    calm: float


def demo_times(seed: int, repetition: int) -> DemoTimes:
    """The times of one repetition, each moved by up to 2 s either way.

    A restart is not drawn sooner than 70 s after the abort before it.
    """
    times = _draw_times(seed, repetition)
    if repetition == 0:
        return times
    earliest_s = _draw_times(seed, repetition - 1).abort + RESTART_S - DEMO_REPEAT_S
    return replace(times, job=max(times.job, earliest_s))


def _draw_times(seed: int, repetition: int) -> DemoTimes:
    rng = random.Random(f"{seed}/{repetition}/times")
    return DemoTimes(*(at_s + rng.uniform(-JITTER_S, JITTER_S) for at_s in DEMO_TIMES_S))


def demo_scenario(seed: int) -> Scenario:
    """The scenario of `make demo`: see the module's text."""
    return Scenario(
        lambda repetition: demo_events(random.Random(f"{seed}/{repetition}"), demo_times(seed, repetition)),
        DEMO_REPEAT_S,
    )


def calm_scenario() -> Scenario:
    """Nothing happens."""
    return Scenario(lambda _: [], DEMO_REPEAT_S)


def demo_events(rng: random.Random, times: DemoTimes) -> list[Event]:
    """The events of one repetition; loads are drawn from `rng`."""
    training = TrainingJob(random.Random(rng.getrandbits(64)), frequency_hz=1.0)
    inference = InferenceLoad(random.Random(rng.getrandbits(64)))
    dip_share = rng.uniform(0.4, 0.5)
    return [
        Event(times.job, "training starts", lambda plant: _start_training(plant, training, times)),
        Event(
            times.checkpoint, "checkpoint",
            lambda plant: training.checkpoint(plant.time_s, CHECKPOINT_S, dip_share),
        ),
        Event(times.abort, "training aborts", lambda plant: training.abort(plant.time_s)),
        Event(times.abort + 1.0, "training is gone", lambda plant: plant.end_job("training")),
        Event(times.surge, "inference surge starts", lambda plant: _start_surge(plant, inference, times)),
        Event(times.loss, "bess-1 is lost", lambda plant: plant.fault("bess-1", "contactor_open", active=True)),
        Event(times.return_, "bess-1 is back", lambda plant: plant.fault("bess-1", "contactor_open", active=False)),
        Event(times.calm, "inference surge ends", lambda plant: plant.end_job("surge")),
    ]


def _start_training(plant: Plant, training: TrainingJob, times: DemoTimes) -> None:
    peaks_w = dict.fromkeys(RACKS, JOB_W / len(RACKS))
    plant.start_job("training", training, peaks_w, duration_s=times.abort - times.job)


def _start_surge(plant: Plant, inference: InferenceLoad, times: DemoTimes) -> None:
    begin_s, loss_s = plant.time_s, plant.time_s + times.loss - times.surge
    first_s, last_s = loss_s + SURGE_GROWS_S[0], loss_s + SURGE_GROWS_S[1]
    grown = 1.0 + SURGE_GROWTH_W_PER_S * (last_s - first_s) / SURGE_W
    envelope = [(begin_s, 0.4), (begin_s + 1.0, 1.0), (first_s, 1.0), (last_s, grown)]
    peaks_w = dict.fromkeys(RACKS, SURGE_W / len(RACKS))
    plant.start_job("surge", Enveloped(inference, envelope), peaks_w, duration_s=times.calm - times.surge)
