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

import requests
import structlog
from dcpi_house import CLIENT_ID, make_certificates
from whole_house import WholeHouse, whole_house

from pswd_edge.gateway.roles import DCPI_SCOPES

HERE = Path(__file__).parent
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
          "response_schema_conformance", "negative_data_rejection", "missing_required_header", "unsupported_method",
          "allow_header_conformance", "ignored_auth")
# Of a site with its real rates: who proves nothing is soon answered 429 there, which is no 401.
LIMITED_CHECKS = tuple(c for c in CHECKS if c not in ("ignored_auth", "missing_required_header"))
PROFILES = ("pswd", "dcpi", "edge")


class Subject(NamedTuple):
    """What is asked: addresses and tokens by profile, and the files that a client's TLS needs."""

    bases: dict[str, str]
    tokens: dict[str, str]
    ca: str
    certificate: str
    key: str


class Run(NamedTuple):
    """What one call of schemathesis did. `said` is its own report, which has every failure with a way to repeat it."""

    profile: str
    operations: int
    cases: int
    failures: int
    passed: bool
    said: str


def subject_of(house: WholeHouse) -> Subject:
    """The whole house, asked by its manager and by the client that has every scope."""
    client = house.tls / "clients" / CLIENT_ID
    return Subject(house.bases, {name: house.token(name) for name in PROFILES}, str(house.tls / "ca.pem"),
                   f"{client}.pem", f"{client}-key.pem")


def subject_from(path: Path) -> Subject:
    """A site that runs, by its access.json: a manager logs in, the client asks for a token with every scope."""
    found, session = json.loads(path.read_text(encoding="utf-8")), requests.Session()
    bases, tls = {name: base for name, base in found["profiles"].items() if name in PROFILES}, found["tls"]
    ca, certificate, key = (str(Path(tls[name]).resolve()) for name in ("ca", "certificate", "key"))
    session.trust_env, session.verify, session.cert = False, ca, (certificate, key)
    user = next(user for user in found["users"] if user["role"] == "infrastructure_manager")
    user = {name: user[name] for name in ("username", "password", "role")}
    client = {"client_id": tls["client_id"], "scope": list(DCPI_SCOPES), "facility_id": found["facility_id"]}
    said = {"pswd": session.post(bases["pswd"] + "/auth/login", json=user, timeout=30).json(),
            "dcpi": session.post(bases["dcpi"] + "/auth/token", json=client, timeout=30).json()}
    tokens = {name: answer["access_token"] for name, answer in said.items()}
    return Subject(bases, {**tokens, "edge": tokens["pswd"]}, ca, certificate, key)


async def run_profile(
    name: str, subject: Subject, folder: Path, *, seed: int, examples: int, phases: str, checks: tuple[str, ...],
) -> Run:
    """schemathesis against one profile's served document."""
    report, address = folder / f"{name}.json", subject.bases[name]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"),
               "run", address + "/openapi.json", "--url", address,
               "--checks", ",".join(checks), "--phases", phases, "--seed", str(seed), "--max-examples", str(examples),
               "--header", f"Authorization: Bearer {subject.tokens[name]}", "--workers", "1", "--continue-on-failure",
               "--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off",
               "--report", "json", "--report-json-path", str(report), "--request-timeout", "30"]
    if name == "dcpi":
        command += ["--tls-verify", subject.ca, "--request-cert", subject.certificate,
                    "--request-cert-key", subject.key]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
                   "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=folder,
                                                   stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    said, _ = await process.communicate()
    found = json.loads(report.read_bytes())
    return Run(name, found["operations"]["tested"], found["test_cases"]["generated"], len(found["failures"]),
               process.returncode == 0 and not found["errors"], said.decode())


async def run_all(profiles: list[str], folder: Path, tls: Path, **options) -> tuple[list[Run], Counter[int]]:
    """Every profile in turn against the whole house."""
    async with whole_house(folder, tls, moody=True) as house:
        subject = subject_of(house)
        return [await run_profile(name, subject, folder, **options) for name in profiles], house.statuses


async def run_at(path: Path, profiles: list[str], folder: Path, **options) -> tuple[list[Run], Counter[int]]:
    """As `run_all` against a site that runs; its statuses are its own business."""
    subject = subject_from(path)
    known = [name for name in profiles if name in subject.bases]
    return [await run_profile(name, subject, folder, **options) for name in known], Counter()


def main() -> int:
    """0 where every check of every case held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--examples", type=int, default=500, help="cases of each operation and kind of data, at most")
    parser.add_argument("--phases", default="coverage,fuzzing")
    parser.add_argument("--profiles", default=",".join(PROFILES))
    parser.add_argument("--access", type=Path, help="access.json of a site that runs, in place of the played one")
    options = parser.parse_args()
    asked = {"seed": options.seed, "examples": options.examples, "phases": options.phases,
             "checks": LIMITED_CHECKS if options.access else CHECKS}
    profiles = options.profiles.split(",")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="fuzz-api-") as folder:
        if options.access:
            runs, statuses = asyncio.run(run_at(options.access, profiles, Path(folder), **asked))
        else:
            tls = make_certificates(Path(folder) / "tls").folder
            runs, statuses = asyncio.run(run_all(profiles, Path(folder), tls, **asked))
    for run in runs:
        print(run.said)  # noqa: T201  # a program of the command line
    print(json.dumps({  # noqa: T201  # as above
        "seed": options.seed, "checks": asked["checks"], "cases": sum(run.cases for run in runs),
        "profiles": {run.profile: {"operations": run.operations, "cases": run.cases, "failures": run.failures}
                     for run in runs},
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "ok": all(run.passed for run in runs)}))
    return 0 if all(run.passed for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
