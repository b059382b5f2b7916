"""Which request is due when: all requests of a site as jobs, for each connection and for each slower class."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.work import Batch, Job
from pswd_edge.model.site import Site

Key = tuple[str, int, str, int]
"""Device id, its unit, the request's text and its period: what tells that two plans ask the same thing."""
Due = tuple[int, list[Job]]
"""A connection's index, and what it is to be asked."""


def key_of(site: Site, request: ReadRequest) -> Key:
    """What tells a request from another, also in the plan of another site file."""
    return site.devices[request.device.index].id, request.device.unit, request.text, request.period_ms


def is_critical(request: ReadRequest, cycle_ms: int, watched: Collection[int]) -> bool:
    """Whether it brings a control input: read in every cycle, and looked at by the rules."""
    return request.period_ms <= cycle_ms and any(p.index in watched for p in request.points)


class Schedule(NamedTuple):
    """`jobs` by connection, control inputs first; `calendar`: period in cycles, phase: who reads what."""

    jobs: Mapping[int, list[Job]]
    calendar: Mapping[int, Mapping[int, list[Due]]]

    def fast(self, connection: int) -> Batch:
        """What is read in every cycle."""
        found = tuple(j for j in self.jobs[connection] if j.every == 1)
        return Batch(found, sum(j.critical for j in found))

    def slow(self, connection: int) -> tuple[Job, ...]:
        """What is read less often."""
        return tuple(j for j in self.jobs[connection] if j.every > 1)

    def due(self, last: int, cycle: int) -> Iterable[Due]:
        """Slow reads that are due after cycle `last`, up to `cycle`.

        What was due in a cycle that was skipped is due now: a class of a minute need not wait for the next.
        """
        for every, phases in self.calendar.items():
            for slot in range(max(last + 1, cycle - every + 1), cycle + 1):
                yield from phases.get(slot % every, ())


def schedule_of(site: Site, requests: Sequence[ReadRequest], watched: Collection[int],
                known: Mapping[Key, Job] | None = None) -> Schedule:
    """The schedule of a plan; jobs of `known` that ask the same go on as the same objects, whatever is under way."""
    jobs: dict[int, list[Job]] = {c.index: [] for c in site.connections}
    for slot, request in enumerate(requests):
        job = (known or {}).get(key_of(site, request)) or Job(request, slot, 1, 0, critical=False)
        job.request, job.slot = request, slot
        job.every = max(1, request.period_ms // site.control.period_ms)
        job.phase = (7919 * (slot + 1)) % job.every
        job.critical = is_critical(request, site.control.period_ms, watched)
        jobs[request.device.connection].append(job)
    for found in jobs.values():
        found.sort(key=lambda j: not j.critical)
    return Schedule(jobs, _calendar(jobs))


def _calendar(jobs: Mapping[int, list[Job]]) -> dict[int, dict[int, list[Due]]]:
    calendar: dict[int, dict[int, list[Due]]] = {}
    for connection, found in jobs.items():
        together: dict[tuple[int, int], list[Job]] = {}
        for job in found:
            if job.every > 1:
                together.setdefault((job.every, job.phase), []).append(job)
        for (every, phase), due in together.items():
            calendar.setdefault(every, {}).setdefault(phase, []).append((connection, due))
    return calendar
