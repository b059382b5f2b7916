"""A few hundred made-up cases against each served document; `make fuzz-api` runs thousands."""

import schemathesis_run


async def test_made_up_cases_break_no_promise_of_the_documents(tmp_path, tls):
    """No 5xx but a documented 503, no answer beyond its schema, nothing invalid taken; the seed is fixed."""
    runs, statuses = await schemathesis_run.run_all(["pswd", "dcpi"], tmp_path, tls, seed=5, examples=2,
                                                    phases="fuzzing", checks=schemathesis_run.CHECKS)

    for run in runs:
        assert run.passed, run.said
    assert sum(run.cases for run in runs) >= 50
    assert statuses[200] > 0
    assert statuses[400] > 0
