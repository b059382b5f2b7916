"""Paths that mean something else to the next reader."""

import pytest

TRAVERSALS = (
    "/v1/../etc/passwd", "/v1/../v1/system/health", "/v1/./system/health", "/..", "/v1/..", "/v1/%2e%2e/system/health",
    "/v1/.%2e/system/health", "/v1/%2E%2E/v1/system/health", "/v1/..%2f..%2fetc/passwd", "/v1/..%5c..%5cetc",
    "/v1/%252e%252e/system/health", "/v1/%25%32%65%25%32%65/system/health", "/v1/..%c0%af..%c0%afetc/passwd/..",
    "/v1/workload/..%2fx/status", "/v1/workload/%2e%2e/status", "/v1/workload/a%00b/status",
    "/v1/workload/a%0d%0aX-Injected:%20y/status", "/v1/workload/a%7fb/status", "//v1/system/health",
    "/v1//system/health", "/v1/system/health/", "/v1\\system\\health", "/v1/system/health#x", "/v1/system/health%",
    "/v1/system/health%zz", "/v1/system%2fhealth", "/v1;/system/health/..", "http://a/v1/../v1/system/health",
    "http://a@b/v1/system/health", '/v1/sys"tem', "/v1/<script>")


async def test_path_traversal(target):
    """Dots, slashes, NUL and line ends, once and twice encoded: 404 before anything is looked up, whoever asks."""
    found = await target.send_all({path: target.head("GET", path) for path in TRAVERSALS})

    assert {path: raw.statuses for path, raw in found.items()} == dict.fromkeys(TRAVERSALS, (404,))
    assert all(b"X-Injected" not in raw.text.partition(b"\r\n\r\n")[0] for raw in found.values())
    assert target.counts["INVALID_PATH"] >= 2 * (len(TRAVERSALS) - 4)


@pytest.mark.parametrize("path", ["/v1/système", "/v1/\x00", "/v1/\x7f", "/v1/a b", "/v1/\t"])
async def test_bytes_that_no_path_has(target, path):
    """They do not get past the parser."""
    raw = await target.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    assert (raw.statuses, raw.closed) == ((400,), True)


async def test_the_absolute_form_opens_no_other_door(target):
    """A proxy's form of a request is answered like any other: its host chooses nothing and proves nothing."""
    bare = await target.send(b"GET http://elsewhere.example/v1/system/health HTTP/1.1\r\nHost: a\r\n\r\n")
    known = await target.send(target.head("GET", "http://elsewhere.example/v1/system/health"))

    assert (bare.statuses, known.statuses) == ((401,), (200,))


async def test_a_path_parameter_reaches_no_log_or_answer_raw(target, capsys):
    """Line ends and terminal codes in a workload's id could forge a line of the log."""
    found = await target.send_all({path: target.head("GET", path) for path in (
        "/v1/workload/%1b%5b2J/status", "/v1/workload/%0a2026-01-01/status", "/v1/workload/%e2%80%ae/status")})

    assert {raw.statuses for raw in found.values()} <= {(404,), (400,)}
    assert "\x1b[2J" not in capsys.readouterr().out
