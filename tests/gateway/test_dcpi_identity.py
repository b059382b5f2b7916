"""Who a DCPI client is: certificate, table, token; and every way around them that we know of."""

from dcpi_house import CLIENT_ID, FACILITY

ASKED = {"client_id": CLIENT_ID, "scope": ["workload:announce", "power:read", "thermal:read"],
         "facility_id": FACILITY}


async def test_a_certificate_gets_a_token(dcpi):
    """The contract's answer, and a refresh token beyond it."""
    answer = await dcpi.post("/auth/token", ASKED, token=None)

    assert answer.status == 200, answer.body
    assert answer.body["token_type"] == "Bearer"
    assert answer.body["expires_in"] == 3600
    assert answer.body["scope"] == ASKED["scope"]
    assert answer.body["facility_id"] == FACILITY
    assert answer.body["refresh_token"].startswith("dcpi.")
