"""An HTTP port under attack: the fixtures of the tests that do it, and requests byte by byte.

A module that imports `served`, `bystander` and `api` gets a pooler of its own, somebody who queries during each test, and after each test the
question whether an administrator still gets through.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from api import Api, api_settings, token
from pooler import Pooler, default_tenant
from postgres import free_port

GROWTH_KIB_MAX = 96 * 1024  # of the process, whatever is done to it
DENIED = "a-revoked-token"


@dataclass
class Bystander:
    """Queries one after the other."""
    pooler: Pooler
    answers: int = 0
    longest_s: float = 0.0
    failure: BaseException | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            with self.pooler.endpoint().wire() as wire:
                while not self.stop.is_set():
                    begun = time.monotonic()
                    assert wire.value(f"SELECT '{self.answers}'") == str(self.answers)
                    self.longest_s = max(self.longest_s, time.monotonic() - begun)
                    self.answers += 1
                    time.sleep(0.005)
        except BaseException as failure:  # told at the end of the test
            self.failure = failure


@pytest.fixture(scope="module")
def keys() -> dict[str, object]:
    return {"rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "other rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ec": ec.generate_private_key(ec.SECP256R1())}


def pem(key: object) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM,  # type: ignore[attr-defined]
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def served(module_io, scratch, pg, ca, pooler_pair, keys, request) -> Iterator[tuple[Pooler, Api]]:
    port = free_port()
    directory = scratch / f"{request.module.__name__}-{module_io}"
    settings = api_settings(directory, port)
    (directory / "keys.pem").write_bytes(pem(keys["rsa"]) + pem(keys["ec"]))
    (directory / "denied").write_text(DENIED + "\n")
    settings |= {"api.token_public_key_file": str(directory / "keys.pem"), "api.token_deny_file": str(directory / "denied"),
                 "log.level": "info"}
    pooler = Pooler(directory, pg, pooler_pair, ca, io=module_io, tenants=[default_tenant(pg)], settings=settings).start()
    yield pooler, Api(port)
    assert not pooler.problems()
    pooler.stop()


@pytest.fixture(autouse=True)
def bystander(served: tuple[Pooler, Api]) -> Iterator[Bystander]:
    pooler, api = served
    before = pooler.rss_kib()
    bystander = Bystander(pooler)
    thread = threading.Thread(target=bystander.run)
    thread.start()
    while not bystander.answers and thread.is_alive():
        time.sleep(0.002)
    yield bystander
    bystander.stop.set()
    thread.join(20)
    assert bystander.failure is None
    assert bystander.answers > 0 and bystander.longest_s < 3
    assert pooler.rss_kib() - before < GROWTH_KIB_MAX
    assert api.get("/api/tenants").status == 200, "an administrator gets through"
    assert pooler.alive() and not pooler.problems()


@pytest.fixture
def api(served: tuple[Pooler, Api]) -> Api:
    return served[1]


def raw_call(api: Api, raw: bytes, timeout: float = 10, end: bool = True) -> bytes:
    """All that comes back until the other side closes, or for a moment after an answer."""
    with socket.create_connection(("127.0.0.1", api.port), timeout) as link:
        got = b""
        try:
            link.sendall(raw)
            if end:
                link.shutdown(socket.SHUT_WR)
            while piece := link.recv(65536):
                got += piece
        except (ConnectionError, TimeoutError):
            pass
        return got


def http(method: str = "GET", path: str = "/api/tenants", body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token()}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body and "Transfer_Encoding" not in headers and "Content_Length" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
