"""The documents that the profiles serve: valid, whole against the contracts, public, and true of what is answered."""

import json

import aiohttp
import dcpi_contract
import pswd_contract
import pytest
import schemathesis
from document_check import Reader
from whole_house import PREFIXES, whole_house

CONTRACTS = {"pswd": pswd_contract, "dcpi": dcpi_contract}


@pytest.fixture
async def served(tmp_path, tls) -> dict[str, Reader]:
    """By profile, as everybody gets them who reaches the listener."""
    async with whole_house(tmp_path, tls) as house, aiohttp.ClientSession() as session:
        found = {}
        for profile in PREFIXES:
            async with session.get(house.bases[profile] + "/openapi.json", ssl=house.context()) as answer:
                assert (answer.status, answer.content_type) == (200, "application/json")
                found[profile] = Reader(await answer.json())
    return found


def lines(reader, contract):
    return [line for promise in contract.PROMISES
            for line in reader.operation_differences(promise, contract.ANSWERS, contract.REQUESTS)]


async def test_the_documents_have_what_the_contracts_promise(served):
    """Every path, parameter, field, word, bound and status; a renamed field fails here before it fails a client."""
    assert {name: lines(served[name], contract) for name, contract in CONTRACTS.items()} == {"pswd": [], "dcpi": []}


async def test_each_operation_of_dcpi_needs_the_contract_s_scope(served):
    """What may be reached with another scope is told too, but the contract's is among them."""
    for promise in dcpi_contract.PROMISES:
        operation = served["dcpi"].operation(promise.method, promise.path)
        if promise.scope:
            assert promise.scope in operation["x-allowed"], promise
            assert {"client_certificate": [], "token": []} in operation["security"]


async def test_errors_have_the_contract_s_fields(served):
    """Every refusal of every operation answers the same error body."""
    kinds = {"pswd": pswd_contract.ANSWERS["error"], "dcpi": dcpi_contract.ERROR, "edge": {"code": str, "message": str}}
    for profile, reader in served.items():
        for path, methods in reader.document["paths"].items():
            for method, operation in methods.items():
                for status, response in operation["responses"].items():
                    if int(status) >= 400:
                        schema = reader.found(response)["content"]["application/json"]["schema"]
                        assert reader.differences(f"{method} {path} {status}", schema, kinds[profile]) == []


async def test_every_command_can_be_repeated_safely_and_every_body_is_bounded(served):
    """An Idempotency-Key counts for what changes something; 413 and 415 belong to every body."""
    for reader in served.values():
        for path, methods in reader.document["paths"].items():
            for method, operation in methods.items():
                names = {reader.found(parameter)["name"] for parameter in operation["parameters"]}
                expected = method in ("post", "put") and operation["x-rate-category"] != "authentication"
                assert ("Idempotency-Key" in names) is expected, path
                assert ({"413", "415"} <= operation["responses"].keys()) is ("requestBody" in operation), path


async def test_the_documents_are_valid_openapi(served):
    """By schemathesis, which brings OpenAPI's own schema; no field of a contract may be null."""
    for reader in served.values():
        schemathesis.openapi.from_dict(reader.document).validate()
    for profile in CONTRACTS:
        assert '"null"' not in json.dumps(served[profile].document)


async def test_every_name_is_short_and_every_reference_leads_somewhere(served):
    """Two models of one name would get long ones, with the module in them."""
    for reader in served.values():
        schemas = reader.document["components"]["schemas"]
        assert [name for name in schemas if "__" in name] == []
        text = json.dumps(reader.document)
        for part in text.split('"$ref": "')[1:]:
            assert reader.found({"$ref": part.partition('"')[0]}) is not None


async def test_every_tag_is_explained(served):
    """The page shows the operations under them."""
    for reader in served.values():
        assert [tag["name"] for tag in reader.document["tags"] if not tag["description"]] == []


def test_a_missing_and_a_renamed_field_are_seen():
    """The check itself: it must not be satisfied by anything."""
    reader = Reader({"paths": {}})
    schema = {"type": "object", "properties": {"power": {"type": "number"}, "at": {"type": "string"}}}
    found = reader.differences("x", schema, {"power_mw": float, "at": "time", "power": str})
    assert [line.partition(": ")[0] for line in found] == ["x.power_mw", "x.at", "x.power"]
    assert reader.differences("x", {"type": "integer", "minimum": 1, "maximum": 9}, (int, 1, 10)) != []
    assert reader.differences("x", {"enum": ["a"]}, ("a", "b")) != []
