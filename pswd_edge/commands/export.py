"""`pswd-edge export compliance | key | verify`: what leaves the house for the utility, signed."""

import argparse
import hashlib
import time
from pathlib import Path
from typing import Any

import msgspec

from pswd_edge.commands.compliance import encoded, report_of
from pswd_edge.commands.ledger import add_folders
from pswd_edge.commands.moment import utc_of
from pswd_edge.commands.signature import problem_of, public_text, sign, site_key
from pswd_edge.errors import PswdError
from pswd_edge.image import ImageReader
from pswd_edge.planning.compliance import Span

_REPORT, _SIGNATURE = "compliance.json", "compliance.json.sig"
_SPAN_MAX_S = 32 * 86_400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("what", choices=["compliance", "key", "verify"],
                        help="write the report; show the public key; check a report that was written")
    add_folders(parser)
    parser.add_argument("--from", dest="begin", default="-24h", help="ISO time, HH:MM (UTC) or -24h")
    parser.add_argument("--to", dest="end", default="now", help="the same; or now")
    parser.add_argument("--out", type=Path, default=Path("compliance"), help="folder of the report")
    parser.add_argument("--key", help="verify: the public key that is trusted, in base64")


def run(options: argparse.Namespace) -> int:
    """verify: 0 where everything holds, 1 where not."""
    if options.what == "verify":
        return _verify(options.out, options.key)
    with ImageReader(options.runtime_dir) as image:
        site = image.site
    state_dir = Path(options.state_dir or site.state_dir)
    if options.what == "key":
        print(public_text(site_key(state_dir)))
        return 0
    span = _span(options)
    key = site_key(state_dir)
    try:
        found = report_of(site, state_dir, span, time.time())
        content = encoded(found.facts)
        options.out.mkdir(parents=True, exist_ok=True)
        for name, data in [("ramps.csv", found.ramps_csv), ("violations.csv", found.violations_csv),
                           (_REPORT, content), (_SIGNATURE, sign(content, key))]:
            (options.out / name).write_bytes(data)
    except OSError as error:
        raise PswdError(f"{error.filename}: {error.strerror}; run as the user of the control process") from error
    print("\n".join(_summary(found.facts, options.out)))
    return 0


def _span(options: argparse.Namespace) -> Span:
    now = time.time()
    begin, end = utc_of(options.begin, now), min(utc_of(options.end, now), now)
    if not 0 < end - begin <= _SPAN_MAX_S:
        raise PswdError(f"--from {options.begin} --to {options.end}: got {(end - begin) / 3600:.1f} h: expected more "
                        "than 0 and at most 32 days, in the past; nothing was written")
    return Span(begin, end)


def _summary(facts: dict[str, Any], out: Path) -> list[str]:
    limit = f"limit {facts['ramp_limit_w_per_min'] / 1e6:g} MW/min at {facts['measured_at']}"
    lines = [f"{facts['site']}: {facts['from_utc']} to {facts['to_utc']}, {limit}"]
    for w in facts["windows"]:
        count = sum(v["window_s"] == w["window_s"] for v in facts["violations"])
        most = "nothing could be judged" if w["max_w_per_min"] is None else \
            f"at most {w['max_w_per_min'] / 1e6:.2f} MW/min, {count} violations, {w['above_s']:.1f} s above"
        lines.append(f"  {w['window_s']:>2} s mean: {most}; judged {w['judged_s']:.0f} s, not judged "
                     f"{w['not_judged_s']:.0f} s")
    lines.append(f"  not measured: {facts['gaps_s']:.1f} s in {facts['gaps_total']} gaps")
    lines += [f"  LEDGER {fault}" for fault in facts["ledger"]["faults"]]
    lines += [f"  RECORD {p['file']}: {p['state']}" for p in facts["power_record"] if p["state"].startswith("CHANGED")]
    return [*lines, f"written: {out}/{_REPORT}, {_SIGNATURE}, ramps.csv, violations.csv"]


def _verify(out: Path, public_key: str | None) -> int:
    """The signature over the report, and the report's hashes of the tables."""
    try:
        content = (out / _REPORT).read_bytes()
        problem = problem_of(content, (out / _SIGNATURE).read_bytes(), public_key)
        problems = [f"{_REPORT}: {problem}"] if problem else []
        files = {} if problem else msgspec.json.decode(content)["files"]
        problems += [f"{name}: it is not what was signed" for name, digest in files.items()
                     if hashlib.sha256((out / name).read_bytes()).hexdigest() != digest]
    except OSError as error:
        raise PswdError(f"{error.filename}: {error.strerror}; expected a folder of export compliance") from error
    for line in problems:
        print(f"BAD {line}")
    if not problems:
        trust = "" if public_key else "; compare the key in compliance.json.sig with the site's (export key)"
        print(f"{out}: the signature holds, and the tables are those that were signed{trust}")
    return 1 if problems else 0
