"""The OpenAPI document holds what it promises: Schemathesis makes thousands of calls from it, right and wrong ones, and compares each
answer with what the document says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from api import Api, api_settings, token
from pooler import Pooler, default_tenant
from postgres import APP_PASSWORD, free_port

pytestmark = [pytest.mark.penstock, pytest.mark.timeout(600)]

# Without missing_required_header: it takes no answer but 401 to a call without a token, and Supavisor's tools expect 403.
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,"
          "negative_data_rejection,unsupported_method,ignored_auth,use_after_free,ensure_resource_availability")


@pytest.fixture
def served(pooler_of, pg, tmp_path) -> tuple[Pooler, Api]:
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port) | {"log.level": "info"}, tenants=[default_tenant(pg)])
    return pooler, Api(port)


def schemathesis(directory: Path, api: Api, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`st run` with a database of examples of its own, or one run would depend on another."""
    directory.mkdir(exist_ok=True)
    (directory / "schemathesis.toml").write_text("")  # or it would look for one in the directories above
    command = [str(Path(sys.executable).parent / "st"), "run", f"{api.base}/api/openapi", "--header", f"Authorization: Bearer {api.bearer}",
               "--checks", CHECKS, "--request-timeout", "20", "--generation-database", "none", "--continue-on-failure",
               "--seed", "20261122", "--no-color", *arguments]
    env = {key: value for key, value in os.environ.items() if not key.upper().endswith("_PROXY")}
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, env=env)


def verdict(done: subprocess.CompletedProcess[str]) -> str:
    """The last words of a run that found something."""
    return (done.stdout + done.stderr)[-12_000:]


def test_every_answer_is_one_that_the_document_names(served, tmp_path, request):
    pooler, api = served
    examples, phases = ("150", "examples,coverage,fuzzing,stateful") if request.config.getoption("--full") else ("6", "examples,coverage,fuzzing")
    # A drain ends the process, which test_api.py wants to see.
    done = schemathesis(tmp_path / "st", api, "--phases", phases, "--max-examples", examples, "--exclude-operation-id", "drain")
    assert done.returncode == 0, verdict(done)
    # It has found the tenants by itself, and changed and removed them.
    assert pooler.alive() and not pooler.problems()
    made = api.call("PUT", "/api/tenants/afterwards", {"tenant": {
        "hosts": [f"{pooler.pg.host}:{pooler.pg.port}"], "upstream_tls": "disable", "users": [{"name": "app", "secret": APP_PASSWORD}]}})
    assert made.status == 201, made.text
    with pooler.endpoint(user="app.afterwards", password=APP_PASSWORD).connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_tokens_that_may_less_see_only_what_the_document_names(served, tmp_path):
    """403 everywhere, from one who may only read the metrics."""
    _, api = served
    done = schemathesis(tmp_path / "st", Api(api.port, token(scope="metrics")), "--phases", "coverage", "--max-examples", "2",
                        "--include-method", "GET")
    assert done.returncode == 0, verdict(done)


def test_the_document_is_what_others_take_for_openapi(served):
    """References lead somewhere, names are given once, every call has an answer for success and one for a refusal."""
    document = served[1].get("/api/openapi").json
    names = set()
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            assert call["operationId"] not in names
            names.add(call["operationId"])
            assert any(status[0] == "2" for status in call["responses"]), f"{method} {path}"
            assert call.get("security") == [] or "403" in call["responses"], f"{method} {path}"
            in_path = {part["name"] for part in call.get("parameters", []) if part["in"] == "path"}
            assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}
    for reference in set(_references(document)):
        assert reference.startswith("#/components/schemas/") and reference.split("/")[-1] in document["components"]["schemas"]
    assert len(names) > 25
    json.dumps(document)


def _references(value: object):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)
