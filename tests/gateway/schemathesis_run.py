"""Cases of schemathesis against the served documents: `make fuzz-api`, or with --seed and --cases.

A gateway over a control that is played runs in this process; schemathesis beside it, once a profile. The last line says
how many cases were run, with which checks and seed; the exit status is 1 where one failed.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
from collections import Counter
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog
from gateway_campus import PERIOD_S, Control, make_site, make_workload

from pswd_edge.clock import SystemClock
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.principal import Principal
from pswd_edge.gateway.private_file import write_private
from pswd_edge.gateway.profiles.dcpi.profile import DcpiProfile
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.server import Gateway
from pswd_edge.gateway.tokens import Bearer
from pswd_edge.gateway.users import FILE, User, _Stored
from pswd_edge.model.command import Accepted, Announce, Clamped, ControlWorkload, Failed, Outcome, Rejected, Request
from pswd_edge.model.site import Listener

HERE = Path(__file__).parent
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
          "response_schema_conformance", "negative_data_rejection", "missing_required_header", "unsupported_method",
          "allow_header_conformance", "ignored_auth")
PROFILES = {"pswd": "/v1", "dcpi": "/dcpi/api/v1", "edge": "/edge"}
ROLE = "infrastructure_manager"


class WallClock(SystemClock):
    """Time that goes by itself."""

    def advance(self, _: float) -> None:
        """Nothing is to be done for it."""


class Door:
    """Answers as control may: mostly yes, sometimes less, sometimes no, by what the request's id makes of it."""

    async def ask(self, request: Request, timeout_s: float) -> Outcome:
        workload = make_workload() if isinstance(request, Announce | ControlWorkload) else None
        turn = hash(request.id) % 8
        if turn == 0:
            return Rejected(id=request.id, code="conflict", reason="two want the same", limit="circuit:hall-a",
                            workload=workload)
        if turn == 1:
            return Failed(id=request.id, code="not_ready", reason="inputs are missing")
        if turn == 2:
            return Clamped(id=request.id, value=1e6, limit="ramp", reason="by ramp", eta_s=3.0, workload=workload)
        return Accepted(id=request.id, workload=workload)

    def close(self) -> None:
        """Nothing is open."""


class Run(NamedTuple):
    """What one call of schemathesis did. `said` is its own report, which has every failure with a way to repeat it."""

    profile: str
    operations: int
    cases: int
    failures: int
    passed: bool
    said: str


class House(NamedTuple):
    """A gateway that serves: its address, a good token, and how often each status was answered."""

    base: str
    token: str
    statuses: Counter[int]


@asynccontextmanager
async def served(folder: Path):
    """A gateway with every profile on loopback."""
    site = make_site(listeners=(Listener("127.0.0.1", 0, ("pswd", "edge", "dcpi")),))
    control = Control(folder / "run", site, WallClock())
    control.run(30, workloads=(make_workload(),))
    write_private(folder / "state" / FILE, msgspec.json.encode(_Stored({"fuzz": User("", (ROLE,))})))
    everything = Principal("fuzz", "client", frozenset(Operation), "dcpi:fuzz")
    DcpiProfile.authenticate = lambda *_, **__: everything
    async with Gateway(LiveImage(folder / "run", control.clock), Door(), folder / "state", control.clock) as gateway:
        statuses, gateway.services.meter.answered = _counted(gateway.services.meter.answered)
        await gateway.open(folder / "run" / "rows")
        beating = asyncio.create_task(_beat(control))
        try:
            yield House(f"http://127.0.0.1:{gateway.listening[0].port}",
                        gateway._authority._tokens.issue(Bearer("fuzz", ROLE)), statuses)
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating


def _counted(answered):
    statuses = Counter()

    def count(duration_s, status):
        statuses[status] += 1
        answered(duration_s, status)

    return statuses, count


async def _beat(control: Control) -> None:
    while True:
        control.run()
        await asyncio.sleep(PERIOD_S)


async def run_profile(name: str, house: House, folder: Path, *, seed: int, examples: int, phases: str) -> Run:
    """schemathesis against one profile's served document."""
    report, address = folder / f"{name}.json", house.base + PROFILES[name]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"),
               "run", address + "/openapi.json", "--url", address,
               "--checks", ",".join(CHECKS), "--phases", phases, "--seed", str(seed), "--max-examples", str(examples),
               "--header", f"Authorization: Bearer {house.token}", "--workers", "1", "--continue-on-failure",
               "--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off",
               "--report", "json", "--report-json-path", str(report), "--request-timeout", "30"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
                   "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=folder,
                                                   stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    said, _ = await process.communicate()
    found = json.loads(report.read_bytes())
    return Run(name, found["operations"]["tested"], found["test_cases"]["generated"], len(found["failures"]),
               process.returncode == 0 and not found["errors"], said.decode())


async def run_all(profiles: list[str], folder: Path, **options) -> tuple[list[Run], Counter[int]]:
    """Every profile in turn against one gateway."""
    async with served(folder) as house:
        return [await run_profile(name, house, folder, **options) for name in profiles], house.statuses


def main() -> int:
    """0 where every check of every case held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--examples", type=int, default=500, help="cases of each operation and kind of data, at most")
    parser.add_argument("--phases", default="coverage,fuzzing")
    parser.add_argument("--profiles", default=",".join(PROFILES))
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="fuzz-api-") as folder:
        runs, statuses = asyncio.run(run_all(options.profiles.split(","), Path(folder), seed=options.seed,
                                             examples=options.examples, phases=options.phases))
    for run in runs:
        print(run.said)  # noqa: T201  # a program of the command line
    print(json.dumps({  # noqa: T201  # as above
        "seed": options.seed, "checks": CHECKS, "cases": sum(run.cases for run in runs),
        "profiles": {run.profile: {"operations": run.operations, "cases": run.cases, "failures": run.failures}
                     for run in runs},
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "ok": all(run.passed for run in runs)}))
    return 0 if all(run.passed for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
