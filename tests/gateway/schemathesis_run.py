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
from pathlib import Path
from typing import NamedTuple

import structlog
from dcpi_house import CLIENT_ID, make_certificates
from whole_house import WholeHouse, whole_house

HERE = Path(__file__).parent
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
          "response_schema_conformance", "negative_data_rejection", "missing_required_header", "unsupported_method",
          "allow_header_conformance", "ignored_auth")
PROFILES = ("pswd", "dcpi", "edge")


class Run(NamedTuple):
    """What one call of schemathesis did. `said` is its own report, which has every failure with a way to repeat it."""

    profile: str
    operations: int
    cases: int
    failures: int
    passed: bool
    said: str


async def run_profile(name: str, house: WholeHouse, folder: Path, *, seed: int, examples: int, phases: str) -> Run:
    """schemathesis against one profile's served document."""
    report, address = folder / f"{name}.json", house.bases[name]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"),
               "run", address + "/openapi.json", "--url", address,
               "--checks", ",".join(CHECKS), "--phases", phases, "--seed", str(seed), "--max-examples", str(examples),
               "--header", f"Authorization: Bearer {house.token(name)}", "--workers", "1", "--continue-on-failure",
               "--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off",
               "--report", "json", "--report-json-path", str(report), "--request-timeout", "30"]
    if name == "dcpi":
        client = house.tls / "clients" / CLIENT_ID
        command += ["--tls-verify", str(house.tls / "ca.pem"), "--request-cert", f"{client}.pem",
                    "--request-cert-key", f"{client}-key.pem"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
                   "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=folder,
                                                   stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    said, _ = await process.communicate()
    found = json.loads(report.read_bytes())
    return Run(name, found["operations"]["tested"], found["test_cases"]["generated"], len(found["failures"]),
               process.returncode == 0 and not found["errors"], said.decode())


async def run_all(profiles: list[str], folder: Path, tls: Path, **options) -> tuple[list[Run], Counter[int]]:
    """Every profile in turn against one gateway."""
    async with whole_house(folder, tls, moody=True) as house:
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
        tls = make_certificates(Path(folder) / "tls").folder
        runs, statuses = asyncio.run(run_all(options.profiles.split(","), Path(folder), tls, seed=options.seed,
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
