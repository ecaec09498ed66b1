"""The HTTP port of a pooler under test: tokens, calls, metrics read by Prometheus' own parser."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

SECRET = "a secret for tests that is long enough 0123456789"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(secret: str = SECRET, expires_in: float | None = 3600, algorithm: str = "HS256", **claims: object) -> str:
    """A token as anybody else would make it."""
    if expires_in is not None:
        claims.setdefault("exp", int(time.time() + expires_in))
    text = _b64(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()) + "." + _b64(json.dumps(claims).encode())
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    return text + "." + _b64(hmac.new(secret.encode(), text.encode(), digest).digest())


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str
    json: object = field(init=False, default=None)

    def __post_init__(self) -> None:
        if "json" in self.headers.get("content-type", ""):
            self.json = json.loads(self.text)


class Api:
    def __init__(self, port: int, bearer: str | None = None, scheme: str = "http"):
        self.base = f"{scheme}://127.0.0.1:{port}"
        self.port = port
        self.bearer = token() if bearer is None else bearer
        self._wait_listening()

    def _wait_listening(self) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, "nobody listens on the HTTP port"
                time.sleep(0.02)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method)
        if self.bearer:
            request.add_header("Authorization", f"Bearer {self.bearer}")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return _answer(response)
        except urllib.error.HTTPError as error:
            return _answer(error)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def metrics(self, path: str = "/metrics", openmetrics: bool = False) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """All samples: (name, labels) → value."""
        accept = "application/openmetrics-text; version=1.0.0" if openmetrics else "text/plain"
        answer = self.get(path, Accept=accept)
        assert answer.status == 200, answer.text
        families = (parse_openmetrics if openmetrics else parse_text)(answer.text)
        return {(sample.name, frozenset(sample.labels.items())): sample.value
                for family in families for sample in family.samples}


def _answer(response: object) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}  # type: ignore[attr-defined]
    return Answer(response.status, headers, response.read().decode())  # type: ignore[attr-defined]


def value(metrics: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    """The sum of all series of that name that have these labels."""
    found = [number for (sample, its), number in metrics.items() if sample == name and set(labels.items()) <= set(its)]
    assert found, f"no series {name}{labels}"
    return sum(found)


def api_settings(directory: Path, port: int, **more: object) -> dict[str, object]:
    directory.mkdir(parents=True, exist_ok=True)
    secret = directory / "token-secret"
    secret.write_text(SECRET + "\n")
    return {"api.port": port, "api.token_secret_file": str(secret), "api.requests_per_second": 0} | more
