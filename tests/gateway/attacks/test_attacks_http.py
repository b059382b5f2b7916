"""HTTP that two readers would understand in two ways."""

import asyncio

GET, HOST = b"GET /v1/system/health HTTP/1.1\r\n", b"Host: a\r\n"
POST = b"POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
TWO = b"GET /v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n"


def all_refused_and_closed(found, target):
    assert {name: (raw.statuses, raw.closed, raw.code) for name, raw in found.items()} \
        == dict.fromkeys(found, ((400,), True, "MALFORMED_HTTP"))
    assert target.counts["MALFORMED_HTTP"] == 2 * len(found)
    assert target.door.asked == []


async def test_request_smuggling_by_two_lengths(target):
    """A length beside a coding, two lengths, lengths that are no number: no second request gets in behind a proxy."""
    found = await target.send_all({
        "length, then coding": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + TWO,
        "coding, then length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + TWO,
        "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + TWO,
        "two equal lengths": POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + TWO,
        "a list of lengths": POST + b"Content-Length: 0, 0\r\n\r\n" + TWO,
        "signed length": POST + b"Content-Length: +0\r\n\r\n" + TWO,
        "negative length": POST + b"Content-Length: -1\r\n\r\n" + TWO,
        "endless length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n" + TWO,
        "length with a tab": POST + b"Content-Length: 0\t0\r\n\r\n" + TWO})

    all_refused_and_closed(found, target)


async def test_request_smuggling_by_transfer_coding(target):
    """Codings that one reader knows and another does not."""
    found = await target.send_all({
        "identity": POST + b"Transfer-Encoding: identity\r\n\r\n" + TWO,
        "misspelt": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + TWO,
        "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + TWO,
        "twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + TWO,
        "compressed": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + TWO,
        "a vertical tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + TWO})

    all_refused_and_closed(found, target)


async def test_request_smuggling_by_chunks(target):
    """Chunk sizes that are none, and line ends that are half."""
    found = await target.send_all({
        "bare line feeds": CHUNKED + b"2\n{}\n0\n\n", "negative": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
        "over 64 bits": CHUNKED + b"FFFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n",
        "prefixed": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n", "underscored": CHUNKED + b"0_2\r\n{}\r\n0\r\n\r\n",
        "longer than said": CHUNKED + b"1\r\n{}\r\n0\r\n\r\n"})

    assert {name: (raw.statuses, raw.closed) for name, raw in found.items()} == dict.fromkeys(found, ((400,), True))


async def test_header_smuggling_by_line_ends_and_folds(target):
    """Bare CR and LF, continued lines, blanks before the colon, control characters: a header is one line."""
    found = await target.send_all({
        "bare line feeds": b"GET /v1/system/health HTTP/1.1\nHost: a\n\n",
        "one bare line feed": GET + b"Host: a\nX: y\r\n\r\n", "bare return": GET + b"Host: a\rX: y\r\n\r\n",
        "continued line": GET + HOST + b"X: y\r\n  z\r\n\r\n", "blank before colon": GET + HOST + b"X : y\r\n\r\n",
        "no name": GET + HOST + b": y\r\n\r\n", "no colon": GET + HOST + b"X\r\n\r\n",
        "NUL": GET + HOST + b"X: a\x00b\r\n\r\n", "control character": GET + HOST + b"X: a\x01b\r\n\r\n",
        "blank before the first header": GET + b" " + HOST + b"\r\n"})

    all_refused_and_closed(found, target)


async def test_headers_said_twice(target):
    """Who reads the first and who reads the last would admit different people."""
    token = f"Bearer {target.token()}".encode()
    found = await target.send_all({
        "Host": GET + b"Host: a\r\nHost: b\r\n\r\n",
        "Authorization": GET + HOST + b"Authorization: " + token + b"\r\nAuthorization: Bearer x\r\n\r\n",
        "X-Request-ID": GET + HOST + b"X-Request-ID: a\r\nX-Request-ID: b\r\n\r\n",
        "Content-Type": POST + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
        "Idempotency-Key": POST + b"Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 2\r\n\r\n{}",
        "no Host at all": GET + b"\r\n"})

    all_refused_and_closed(found, target)


async def test_other_protocols_and_versions(target):
    """HTTP/0.9, HTTP/2 without its handshake, and what was meant for another port."""
    found = await target.send_all({
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        "lower case": b"get / HTTP/1.1\r\nHost: a\r\n\r\n", "no method": b"HACK / HTTP/1.1\r\nHost: a\r\n\r\n",
        "authority form": b"GET elsewhere:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        "Modbus": b"\x00\x01\x00\x00\x00\x06\x01\x03\x00\x00\x00\x01\r\n\r\n", "SSH": b"SSH-2.0-OpenSSH_9.6\r\n\r\n"})
    nine = await target.send(b"GET /v1/system/health\r\n\r\n")

    assert (nine.closed, nine.code) == (True, "MALFORMED_HTTP")
    assert {raw.statuses for raw in found.values()} == {(400,)}


async def test_the_request_line_and_headers_are_bounded(target):
    """8 KiB for a line, 64 headers: a client's memory is not ours."""
    many = b"".join(b"X-%d: y\r\n" % number for number in range(65))
    found = await target.send_all({
        "long target": b"GET /v1/" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        "long query": b"GET /v1/system/health?" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        "long value": GET + HOST + b"X: " + b"x" * 9000 + b"\r\n\r\n",
        "long name": GET + HOST + b"x" * 9000 + b": y\r\n\r\n", "many": GET + HOST + many + b"\r\n"})

    all_refused_and_closed(found, target)


async def test_methods_that_tunnel_or_echo(target):
    """CONNECT would make a proxy of us, TRACE would show a page its own credentials."""
    found = await target.send_all({
        "CONNECT": b"CONNECT 10.0.4.11:502 HTTP/1.1\r\nHost: a\r\n\r\n" + TWO,
        "TRACE": b"TRACE /v1/system/health HTTP/1.1\r\nHost: a\r\nCookie: c\r\n\r\n"})

    assert {(raw.statuses, raw.closed, raw.code) for raw in found.values()} == {((405,), True, "METHOD_NOT_ALLOWED")}
    assert all(b"Cookie" not in raw.text for raw in found.values())


async def test_headers_that_rewrite_the_request_are_ignored(target):
    """Method and path are what the request line says, whoever asks otherwise."""
    heads = {
        name: target.head("GET", "/v1/battery/control", **{name: value}) for name, value in (
            ("X_HTTP_Method_Override", "POST"), ("X_Method_Override", "POST"), ("X_HTTP_Method", "POST"))}
    rewritten = await target.send(target.head("GET", "/v1/nothing", X_Original_URL="/v1/system/health",
                                              X_Rewrite_URL="/v1/system/health"))
    forwarded = await target.send(b"GET /v1/system/health HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.9.9.9\r\n\r\n")
    found = await target.send_all(heads)

    assert {raw.statuses for raw in found.values()} == {(405,)}
    assert (rewritten.statuses, forwarded.statuses) == ((404,), (401,))
    assert {entry["remote"] for entry in await target.audited() if entry["kind"] == "refusal"} == {"127.0.0.1"}


async def test_an_upgrade_to_what_is_not_there(target):
    """HTTP/2 in plain text is refused; where there is no stream, what follows a WebSocket's opening is a request."""
    h2c = GET + HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n"
    socket = GET + HOST + (b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    found = await target.send_all({"h2c": h2c + TWO, "websocket": socket + TWO, "garbage": socket + b"\x81\x05hello"})

    assert {name: raw.statuses for name, raw in found.items()} \
        == {"h2c": (400,), "websocket": (401, 404), "garbage": (401, 400)}


async def test_trailers_are_no_headers(target):
    """A credential behind the body is none."""
    login = POST.replace(b"/v1/auth/login", b"/v1/battery/control")
    raw = await target.send(login + b"Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n2\r\n{}\r\n0\r\n"
                            + f"Authorization: Bearer {target.token()}\r\n\r\n".encode())

    assert raw.statuses == (401,)


async def test_pipelined_requests_are_answered_in_order_and_bounded(target):
    """A connection that asks without reading is not read any more once 32 requests wait."""
    reader, writer = await target.open()
    writer.write(TWO * 200)
    answers = b""
    while answers.count(b"HTTP/1.1 404") < 200:
        answers += await asyncio.wait_for(reader.read(65536), 5)
        protocol = next(iter(target.gateway.listening[0]._runner.server.connections), None)
        assert protocol is None or len(protocol._messages) <= 32
    writer.close()

    assert answers.count(b"HTTP/1.1 404") == 200
