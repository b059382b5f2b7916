"""What makes cases reach the handlers: commands of this moment, about known workloads. Loaded by schemathesis."""

import uuid
from datetime import UTC, datetime

import schemathesis

WORKLOAD = "wl-1"


@schemathesis.hook
def before_call(context, case, kwargs):
    """A positive case keeps what was made up for it, but is sent now; every second one is about a known workload."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.headers and "Idempotency-Key" in case.headers:      # made-up keys are few, and one is good for one body
        case.headers["Idempotency-Key"] = uuid.uuid4().hex
    if isinstance(case.body, dict) and "timestamp" in case.body:
        case.body["timestamp"] = datetime.now(UTC).isoformat()
    given = (case.path_parameters or {}).get("workload_id")
    if given is not None and len(str(given)) % 2:
        case.path_parameters["workload_id"] = WORKLOAD
