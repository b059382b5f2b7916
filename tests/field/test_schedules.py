"""Jobs under another plan: the same question goes on as the same object, another one does not."""

from pswd_edge.field.schedule import key_of, schedule_of
from tests.field.fieldmaker import modbus_point, request_of, small_site


def test_a_device_that_got_another_unit_is_asked_by_a_job_of_its_own() -> None:
    """What is known of the old unit, and an answer of it under way, are not the new one's."""
    before, after = (small_site([1], [[modbus_point(0)]], [(0, unit)]) for unit in (1, 2))
    old, same, new = (request_of([modbus_point(0)], unit=unit) for unit in (1, 1, 2))
    (job,) = schedule_of(before, old, ()).jobs[0]
    known = {key_of(before, job.request): job}

    assert schedule_of(before, same, (), known).jobs[0] == [job]
    (other,) = schedule_of(after, new, (), known).jobs[0]
    assert other is not job
