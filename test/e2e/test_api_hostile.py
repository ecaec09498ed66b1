"""The HTTP port against those who mean it ill: broken requests, slow senders, thousands of connections.

Somebody queries all the while, and an administrator still gets through.
"""

from __future__ import annotations

import json
import random
import socket
import time
from pathlib import Path

import pytest

from api import Api
from attack import api, bystander, http, keys, raw_call, served  # noqa: F401
from pooler import Pooler

pytestmark = [pytest.mark.penstock, pytest.mark.timeout(120)]

PUT = ("PUT", "/api/tenants/acme")
MALFORMED = {
    "nothing but line ends": b"\r\n" * 5000, "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200,
    "Postgres": b"\0\0\0\x08\x04\xd2\x16\x2f", "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/0.9": b"GET /api/health\r\n\r\n",
    "HTTP/3.7": b"GET /api/health HTTP/3.7\r\n\r\n", "no path": b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
    "a zero byte in the path": b"GET /api/\0health HTTP/1.1\r\nHost: x\r\n\r\n",
    "a zero byte in a header": b"GET /api/health HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "a space before the colon": b"GET /api/tenants HTTP/1.1\r\nHost : x\r\n\r\n", "a header without colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    "bare line feeds": b"GET /api/tenants HTTP/1.1\nHost: x\n\n",
    "a negative length": http(*PUT, Content_Length="-1"), "a length with a plus": http(*PUT, Content_Length="+5") + b"{}   ",
    "a length in hex": http(*PUT, Content_Length="0x10") + b"x" * 16, "a length beyond 64 bits": http(*PUT, Content_Length="9" * 40),
    "two lengths": http(*PUT, Content_Length="2\r\nContent-Length: 60") + b"{}" + b"x" * 58,
    "length and chunks": http(*PUT, Content_Length="5", Transfer_Encoding="chunked") + b"0\r\n\r\nGET /api/x HTTP/1.1\r\n\r\n",
    "an unknown transfer coding": http(*PUT, Transfer_Encoding="gzip, nonsense") + b"xxxx",
    "a chunk without a size": http(*PUT, Transfer_Encoding="chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk larger than anything": http(*PUT, Transfer_Encoding="chunked") + b"FFFFFFFFFFFFFFFFF\r\n{}",
    "a header of a megabyte": http(X="x" * 1_000_000), "ten thousand headers": http(X="1\r\nX: ".join(["2"] * 10_000)),
    "a path of a megabyte": http(path="/api/" + "x" * 1_000_000), "a path of 65 parts": http(path="/a" * 65),
    "a hundred parameters": http(path="/api/tenants?" + "a=1&" * 100), "a broken percent sign": http(path="/api/tenants/%zz"),
    "half a percent sign": http(path="/api/tenants/%a"), "an encoded zero": http(path="/api/tenants/a%00b"),
    "a path that climbs": http(path="/swaggerui/../../../etc/passwd"), "a path that climbs, encoded": http(path="/swaggerui/%2e%2e/%2e%2e/etc/passwd"),
    "a path not UTF-8": http(path="/api/tenants/%ff%fe"), "a URL of another kind": http(path="ftp://elsewhere/api/tenants"),
    "a URL without a host": http(path="http:///api/tenants"), "a URL with a user": http(path="http://root@x/api/tenants"),
    "a star": http("OPTIONS", "*"), "a proxy's request": http("CONNECT", "elsewhere:443"), "a method of their own": http("BREW"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_requests(api, what):
    got = raw_call(api, MALFORMED[what])
    assert got == b"" or got[:12] in {f"HTTP/1.1 {status}".encode() for status in (400, 404, 405, 413, 414, 431, 505)}, got[:300]
    assert got.count(b"HTTP/1.1 ") <= 1, "what follows a broken request is not a request"


def test_bodies_that_never_end(api):
    big = b"x" * 65536
    for headers in ({"Content_Length": str(10 ** 12)}, {"Transfer_Encoding": "chunked"}):
        with socket.create_connection(("127.0.0.1", api.port), 10) as link:
            link.sendall(http(*PUT, **headers))
            sent = 0
            try:
                while sent < 200_000_000:
                    link.sendall(b"10000\r\n" + big + b"\r\n" if "Transfer_Encoding" in headers else big)
                    sent += len(big)
            except (ConnectionError, TimeoutError):
                pass
            assert sent < 60_000_000, "it reads on and on"
    assert api.call("PUT", "/api/tenants/acme", b" " * 1_500_000).status == 413
    # Many at once: what is held is bounded by the limit of one times the number of connections.
    links = [socket.create_connection(("127.0.0.1", api.port), 10) for _ in range(60)]
    for link in links:
        link.sendall(http(*PUT, Content_Length="1000000") + b" " * 300_000)
    assert api.get("/api/health").status == 204
    for link in links:
        link.close()


def test_one_byte_at_a_time_is_a_request_all_the_same(api):
    raw = http(path="/api/tenants/default")
    with socket.create_connection(("127.0.0.1", api.port), 10) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(raw)):
            link.sendall(raw[at:at + 1])
            time.sleep(0.002)
        assert link.recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_whole_url_is_its_path(api):
    """As clients send it that take the port for a proxy (RFC 9112, 3.2.2); the token decides as ever."""
    for url in ("http://elsewhere:1234/api/tenants/default?_=1", "HTTP://x/api/tenants/default"):
        assert raw_call(api, http(path=url)).startswith(b"HTTP/1.1 200 "), url
    assert raw_call(api, b"GET http://x/api/tenants HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 403 ")


def test_pipelined_requests_are_answered_in_order(api):
    paths = ["/api/health", "/api/tenants/default", "/api/nothing", "/api/version"] * 50
    raw = b"".join(http(path=path) for path in paths[:-1])
    raw += http(path=paths[-1], Connection="close")
    got = raw_call(api, raw, end=False)
    statuses = [int(line.split(b" ")[0]) for line in got.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [204, 200, 404, 200] * 50


def test_half_requests_leave_nothing(served, api):
    pooler, _ = served
    raw = http("PUT", "/api/tenants/half", json.dumps({"tenant": {"hosts": ["127.0.0.1"]}}).encode())
    rng = random.Random(3)
    for number in range(400):
        link = socket.create_connection(("127.0.0.1", api.port), 10)
        link.sendall(raw[:rng.randrange(len(raw))])
        if number % 2:  # RST instead of FIN
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        link.close()
    assert api.get("/api/tenants/half").status == 404
    wait_for_connections(api, 8)


def wait_for_connections(api: Api, most: int) -> None:
    """Until no more are open than these; who is gone must not hold a place."""
    deadline = time.monotonic() + 15
    while True:
        [now] = [number for (name, _), number in api.metrics().items() if name == "penstock_api_connections"]
        if now <= most:
            return
        assert time.monotonic() < deadline, f"{now} connections are still open"
        time.sleep(0.1)


def test_slow_senders_do_not_keep_others_out(api):
    """More of them than there are places, each with the beginning of a request."""
    links = []
    for number in range(600):
        try:
            link = socket.create_connection(("127.0.0.1", api.port), 5)
            link.sendall([b"G", http()[:40], http(*PUT, Content_Length="100000") + b"{"][number % 3])
            links.append(link)
        except OSError:
            pass
    for _ in range(20):
        begun = time.monotonic()
        assert api.get("/api/tenants/default").status == 200
        assert time.monotonic() - begun < 2
    for link in links:
        link.close()
    wait_for_connections(api, 8)


def test_readers_that_do_not_read_hold_nobody_up(api):
    links = []
    for _ in range(400):
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.connect(("127.0.0.1", api.port))
        link.sendall(http(path="/swaggerui/swagger-ui-bundle.js") + http(path="/api/openapi"))
        links.append(link)
    for _ in range(20):
        assert api.get("/api/tenants/default").status == 200
    for link in links:
        link.close()


def test_thousands_of_connections(served, api):
    pooler, _ = served
    links = []
    refused = 0
    for number in range(3000):
        try:
            link = socket.create_connection(("127.0.0.1", api.port), 5)
            if number % 3 == 0:
                link.sendall(b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n")
            links.append(link)
        except OSError:
            refused += 1
    assert refused < 10
    for _ in range(20):
        assert api.get("/api/tenants/default").status == 200
    assert open_files(pooler) < 1000
    for link in links:
        link.close()
    wait_for_connections(api, 8)


def open_files(pooler: Pooler) -> int:
    return len(list(Path(f"/proc/{pooler.pid}/fd").iterdir()))


def test_random_requests(api, request):
    """Good requests with bytes changed, cut out and doubled; a seed tells which."""
    rounds = 6000 if request.config.getoption("--full") else 1500
    seed = 20261122
    rng = random.Random(seed)
    body = b'{"tenant":{"hosts":["127.0.0.1:5432"]}}'
    good = [http("PUT", "/api/tenants/fuzz", body), http("PATCH", "/api/tenants/fuzz", b'{"banned":true,"ban_reason":"x"}'),
            http(path="/api/tenants?limit=5&search=a&after=b"), http("DELETE", "/api/tenants/fuzz?dry_run=true"),
            http("PUT", "/api/tenants/fuzz/users/u", b'{"user":{"db_password":"x","pool_size":3}}'), http(path="/metrics/default"),
            http("PUT", "/api/tenants/fuzz", b"1a\r\n" + body[:26] + b"\r\n0\r\n\r\n", Transfer_Encoding="chunked")]
    for number in range(rounds):
        raw = bytearray(rng.choice(good))
        for _ in range(rng.choice((1, 1, 2, 5, 20))):
            at = rng.randrange(len(raw))
            what = rng.randrange(4)
            if what == 0:
                raw[at] = rng.randrange(256)
            elif what == 1:
                del raw[at:at + rng.randrange(1, 30)]
            elif what == 2:
                raw[at:at] = raw[at:at + rng.randrange(1, 60)]
            else:
                raw[at:at] = rng.randbytes(rng.randrange(1, 8))
            if not raw:
                raw = bytearray(b"x")
        got = raw_call(api, bytes(raw), timeout=3)
        assert got == b"" or (got.startswith(b"HTTP/1.") and not got.startswith(b"HTTP/1.1 5")), f"seed {seed}, round {number}: {bytes(raw)!r} → {got[:300]!r}"
