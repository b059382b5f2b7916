"""Every endpoint against every role, key and scope: a cell is open where a table says so, and closed everywhere else.

The endpoints are those of the running profiles: a new one is tried without being written down here.
"""

import re

import pytest
from dcpi_house import PREFIX

from pswd_edge.gateway.keys import KeyStore
from pswd_edge.gateway.profiles.dcpi.profile import DcpiProfile
from pswd_edge.gateway.profiles.edge.profile import EdgeProfile
from pswd_edge.gateway.profiles.pswd.profile import PswdProfile
from pswd_edge.gateway.roles import (
    ALLOWED,
    DCPI_SCOPES,
    KEY_SCOPES,
    READING,
    Operation,
    Role,
    allowed_by,
    allowed_of,
)
from pswd_edge.gateway.security_log import Kind
from pswd_edge.gateway.tokens import Bearer

# What the contract demands, in its own words; a stream counts as reading its subject.
CONTRACT = {
    ("POST", "/workloads/announce"): "workload:announce",
    ("PUT", "/workloads/{workload_id}/control"): "workload:control",
    ("GET", "/power/realtime"): "power:read", ("POST", "/power/control"): "power:control",
    ("GET", "/power/forecast"): "power:read", ("GET", "/thermal/status"): "thermal:read",
    ("POST", "/thermal/control"): "thermal:control", ("GET", "/thermal/sensors"): "thermal:read",
    ("POST", "/grid/forecast"): "grid:communicate", ("GET", "/grid/status"): "grid:read",
    ("POST", "/grid/demand-response"): "grid:respond", ("GET", "/heat/municipal/status"): "heat:read",
    ("POST", "/heat/municipal/availability"): "heat:communicate", ("GET", "/system/health"): "system:read",
    ("GET", "/system/metrics"): "system:read", ("GET", "/stream/power/realtime"): "power:read",
    ("GET", "/stream/thermal/realtime"): "thermal:read", ("GET", "/stream/grid/events"): "grid:read",
}
CLOSED = {401, 403}


def path_of(endpoint):
    return re.sub(r"\{[^}]*\}", "cell-1", endpoint.path)


def users_profiles(dcpi):
    identity = dcpi.gateway._identity.users
    return [PswdProfile(dcpi.gateway.services, identity), EdgeProfile(dcpi.gateway.services, identity)]


async def wrong_cells(ask, endpoints, allowed):
    """Endpoints that are open and should not be, or the reverse. A body that is none is refused after admission."""
    wrong = {}
    for endpoint in endpoints:
        if endpoint.operation is None:
            continue
        status = await ask(endpoint)
        if (status not in CLOSED) is not (endpoint.operation in allowed) or status == 401:
            wrong[endpoint.method, endpoint.path] = status
    return wrong


def asking_users(dcpi, headers):
    base = f"http://127.0.0.1:{dcpi.gateway.listening[1].port}"

    def asking(profile):
        async def ask(endpoint):
            url = base + profile.prefix + path_of(endpoint)
            async with dcpi.client.request(endpoint.method, url, headers=headers) as answer:
                return answer.status
        return ask
    return asking


@pytest.mark.parametrize("role", Role)
async def test_a_role_opens_its_cells_and_no_other(dcpi, role):
    """PSWD and the gateway's own API, by a user's token."""
    headers = {"Authorization": f"Bearer {dcpi.gateway._identity.users._tokens.issue(Bearer(role, role))}"}
    asking = asking_users(dcpi, headers)
    for profile in users_profiles(dcpi):
        assert await wrong_cells(asking(profile), profile.endpoints, ALLOWED[role]) == {}

    closed = [e for p in users_profiles(dcpi) for e in p.endpoints if e.operation and e.operation not in ALLOWED[role]]
    assert dcpi.gateway.services.security.intrusions.counts.get(Kind.FORBIDDEN, 0) == len(closed)


@pytest.mark.parametrize("role", Role)
async def test_a_key_without_scopes_reads_what_its_role_reads(dcpi, role):
    """And commands nothing."""
    _, key = KeyStore(dcpi.state_dir, dcpi.control.clock).create("cells", role, (), 1)
    asking = asking_users(dcpi, {"X-API-Key": key})
    for profile in users_profiles(dcpi):
        assert await wrong_cells(asking(profile), profile.endpoints, ALLOWED[role] & READING) == {}
    assert dcpi.door.asked == []


@pytest.mark.parametrize("scope", KEY_SCOPES)
async def test_a_key_with_a_scope_may_that_alone(dcpi, scope):
    """Of an infrastructure manager's everything."""
    _, key = KeyStore(dcpi.state_dir, dcpi.control.clock).create("cells", Role.INFRASTRUCTURE_MANAGER, (scope,), 1)
    asking = asking_users(dcpi, {"X-API-Key": key})
    for profile in users_profiles(dcpi):
        assert await wrong_cells(asking(profile), profile.endpoints, KEY_SCOPES[scope]) == {}


@pytest.mark.parametrize("scope", DCPI_SCOPES)
async def test_a_scope_opens_its_cells_and_no_other(dcpi, scope):
    """DCPI, by a token with one scope; streams too."""
    profile = DcpiProfile(dcpi.gateway.services, dcpi.gateway._identity.clients)
    token = dcpi.token(scope)

    async def ask(endpoint):
        return (await dcpi.call(endpoint.method, path_of(endpoint), token=token)).status

    assert await wrong_cells(ask, profile.endpoints, DCPI_SCOPES[scope]) == {}


async def test_dcpi_demands_the_contract_s_scope(dcpi):
    """Exactly that one: no other opens the endpoint."""
    profile = DcpiProfile(dcpi.gateway.services, dcpi.gateway._identity.clients)
    found = {(e.method, e.path): [s for s, allowed in DCPI_SCOPES.items() if e.operation in allowed]
             for e in profile.endpoints if e.operation is not None}

    assert {where: scopes for where, scopes in found.items() if where in CONTRACT and scopes != [CONTRACT[where]]} == {}
    assert [where for where, scopes in found.items() if not scopes] == []


async def test_without_an_identity_every_cell_is_closed(dcpi):
    """Nothing but logging in, setting up and asking for a token is open."""
    asking = asking_users(dcpi, {})
    open_to_all = set()
    for profile in users_profiles(dcpi):
        for endpoint in profile.endpoints:
            if endpoint.operation is None:
                open_to_all.add(profile.prefix + endpoint.path)
            else:
                assert (endpoint.path, await asking(profile)(endpoint)) == (endpoint.path, 401)
    own = DcpiProfile(dcpi.gateway.services, dcpi.gateway._identity.clients)
    for endpoint in own.endpoints:
        if endpoint.operation is None:
            open_to_all.add(PREFIX + endpoint.path)
        elif not endpoint.stream:
            answer = await dcpi.call(endpoint.method, path_of(endpoint), token=None)
            assert (endpoint.path, answer.status) == (endpoint.path, 401)

    assert {"/v1/auth/login", "/edge/setup", f"{PREFIX}/auth/token", f"{PREFIX}/auth/refresh"} <= open_to_all
    assert [path for path in open_to_all if not re.search(r"/(auth/\w+|setup|openapi.json|docs)$", path)] == []


async def test_a_role_in_a_token_that_the_user_does_not_have_opens_nothing(dcpi):
    """Escalation by a token of our own key: what is granted now is looked up."""
    token = dcpi.gateway._identity.users._tokens.issue(Bearer("municipal_utility", "infrastructure_manager"))
    asking = asking_users(dcpi, {"Authorization": f"Bearer {token}"})
    for profile in users_profiles(dcpi):
        for endpoint in profile.endpoints:
            if endpoint.operation is not None:
                assert (endpoint.path, await asking(profile)(endpoint)) == (endpoint.path, 401)


def test_every_operation_is_in_a_scope_and_every_scope_is_somebody_s():
    """What no scope names could not be given to a key; a scope that no role may would be a trap."""
    assert allowed_by(KEY_SCOPES) == frozenset(Operation)
    assert allowed_of(Role.INFRASTRUCTURE_MANAGER) == frozenset(Operation)
    assert allowed_by(["nothing", "*", ""]) == frozenset()


def test_reading_operations_command_nothing():
    """A key without scopes must never move anything."""
    assert all(operation.value.startswith("read ") for operation in READING)
    assert not [o for o in Operation if o not in READING and o.value.startswith("read ")]
