"""The page that shows a document and tries its operations: offline, and fenced in by its own policy."""

import re

import chromium
import pytest
from conftest import PASSWORDS

from pswd_edge.gateway.browser import page

ROLE = "infrastructure_manager"


async def test_the_page_is_public_and_its_policy_lets_nothing_else_run(house):
    """No 'unsafe-inline', no other server: what an attacker could put into it would not run."""
    answer = await house.get("/v1/docs", role=None)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_reading_the_documents_counts_by_address(house):
    """They are open to everybody; who reads them without end has to wait as with any reading."""
    first, second = [await house.get(path, role=None) for path in ("/v1/openapi.json", "/v1/docs")]
    assert (first.status, second.status) == (200, 200)
    assert "X-RateLimit-Remaining" in first.headers
    assert "X-RateLimit-Remaining" in second.headers


async def test_the_page_names_no_other_server(house):
    """A control room has no way out; nothing is fetched from beyond this listener."""
    body = (await house.get("/v1/docs", role=None)).body
    assert re.findall(r"https?:|@import|url\(|src=|<link", body) == []


def test_a_title_cannot_break_out_of_the_page():
    """It is text, whatever is in it."""
    assert b"<title>&lt;/title&gt;&lt;script&gt;</title>" in page.load("</title><script>").body


@pytest.mark.skipif(chromium.PROGRAM is None, reason="no Chromium on this machine")
async def test_a_person_logs_in_and_tries_an_operation(house, tmp_path):
    """As with mouse and keyboard: find, open, log in, send; the browser reports no error and asks nobody else."""
    async with chromium.tab(tmp_path / "browser") as tab:
        await tab.open(house.base + "/v1/docs")
        await tab.until("document.querySelectorAll('.operation').length >= 10")
        await tab.run(f"""(() => {{ const form = document.getElementById('login');
            form.username.value = '{ROLE}'; form.password.value = '{PASSWORDS[ROLE]}'; form.role.value = '{ROLE}';
            form.requestSubmit(); }})()""")
        await tab.until("document.getElementById('token').value.length > 20")
        assert await tab.run("document.getElementById('who').textContent") == f"{ROLE} as {ROLE}"
        assert await tab.run("document.getElementById('login').password.value") == ""

        await tab.run("""(() => { const find = document.getElementById('find'); find.value = 'battery/status';
            find.dispatchEvent(new Event('input')); })()""")
        assert await tab.run("document.querySelectorAll('.operation:not([hidden])').length") == 1
        await tab.run("document.querySelector('.operation:not([hidden])').open = true")
        await tab.until("document.querySelector('.operation[open] form')")
        await tab.run("document.querySelector('.operation[open] form').requestSubmit()")
        await tab.until("document.querySelector('.operation[open] .status')")

        assert await tab.run("document.querySelector('.operation[open] .status').textContent") == "200"
        shown = await tab.run("document.querySelector('.operation[open] form pre').textContent")
        assert '"battery_id": "bess-1+bess-2"' in shown
        assert tab.said == []
        assert {address.rpartition(":")[0] for address in tab.asked} == {"http://127.0.0.1"}
