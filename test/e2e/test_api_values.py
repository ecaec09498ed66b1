"""Bodies and parameters that are wrong: by their encoding, by their form, by their types, by their size."""

from __future__ import annotations

import base64
import json

import pytest

from api import Answer, Api
from attack import api, bystander, keys, served  # noqa: F401

pytestmark = [pytest.mark.penstock, pytest.mark.timeout(120)]


def put(api: Api, body: object, path: str = "/api/tenants/acme", **headers: str) -> Answer:
    return api.call("PUT", path, body, **headers)


GOOD = {"tenant": {"hosts": ["127.0.0.1:5432"]}}
TEXT = json.dumps(GOOD)
BODIES = {
    "nothing": b"", "spaces": b"   ", "UTF-16": TEXT.encode("utf-16"), "UTF-32": TEXT.encode("utf-32"), "a byte order mark": b"\xef\xbb\xbf" + TEXT.encode(),
    "Latin-1": '{"tenant":{"hosts":["tür"]}}'.encode("latin-1"), "a lone surrogate": b'{"tenant":{"hosts":["\\ud800"]}}',
    "an encoded surrogate": b'{"tenant":{"hosts":["\xed\xa0\x80"]}}', "overlong UTF-8": b'{"tenant":{"hosts":["\xc0\xaf"]}}',
    "a zero byte in a text": b'{"tenant":{"hosts":["a\\u0000b"]}}', "a zero byte between": b'{"tenant"\0:{}}',
    "deep lists": b"[" * 100_000, "deep lists, closed": b"[" * 50_000 + b"]" * 50_000, "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep inside": b'{"tenant":{"default_parameters":' + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}}",
    "a comma too many": b'{"tenant":{},}', "a comment": b'{"tenant":{}} // done', "NaN": b'{"tenant":{"pool_size":NaN}}',
    "single quotes": b"{'tenant':{}}", "two documents": b"{}{}", "a number of a megabyte": b'{"tenant":{"pool_size":' + b"9" * 900_000 + b"}}",
    "an exponent": b'{"tenant":{"pool_size":1e400}}', "gzip": base64.b64decode("H4sIAAAAAAAAA6tWKkktLlGyUqoFAGlRcoMNAAAA"),
    "a text": b'"tenant"', "a list": b"[]", "null": b"null", "a tenant of null": b'{"tenant":null}', "a tenant of lists": b'{"tenant":[{}]}',
    "many users of one name": json.dumps({"tenant": GOOD["tenant"] | {"users": [{"name": "a"}] * 500}}).encode(),
    "users of null": b'{"tenant":{"users":[null]}}', "a user without a name": b'{"tenant":{"users":[{}]}}',
}


@pytest.mark.parametrize("what", BODIES)
def test_bodies_that_are_wrong(api, what):
    answer = put(api, BODIES[what])
    assert answer.status in (400, 413, 422), f"{answer.status} {answer.text[:200]}"
    assert answer.headers["content-type"] == "application/problem+json" and answer.json["title"]
    assert api.get("/api/tenants/acme").status == 404


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "x"])
def test_bodies_of_another_type(api, kind):
    assert put(api, TEXT.encode(), Content_Type=kind).status == 415


VALUES: list[object] = [None, True, -1, 0, 1, 65536, 2 ** 31, 2 ** 63, 2 ** 64 - 1, 10 ** 30, -2 ** 63, 0.5, -1e300, 1e300, 1e-300, "", "0", "x", "-1",
                        "1s", "ü" * 40, "x" * 70_000, "a\nb", "a'b\"c", "\u202e", [], [1], [None], [[]], ["x"], ["x"] * 2000, {}, {"a": 1}, {"": ""},
                        {"a": {"b": []}}, [{}], "true", "0.0.0.0/0", "9" * 400]


def writable_fields(api: Api, schema: str) -> list[str]:
    return sorted(api.get("/api/openapi").json["components"]["schemas"][schema]["properties"])


@pytest.mark.parametrize("schema", ["TenantWish", "UserWish"])
def test_every_field_with_every_kind_of_value(api, schema):
    """Either it is refused with the field's name, or it is stored and the tenant can be read, changed and served."""
    api.call("DELETE", "/api/tenants/victim")
    assert put(api, GOOD, "/api/tenants/victim").status == 201
    place = "tenant" if schema == "TenantWish" else "user"
    path = "/api/tenants/victim" + ("" if place == "tenant" else "/users/app")
    fields = writable_fields(api, schema)
    assert len(fields) > 15
    for name in fields:
        for value in VALUES:
            answer = put(api, {place: {name: value}}, path)
            assert answer.status in (200, 201, 409, 413, 422), f"{name} = {value!r:.60}: {answer.status} {answer.text[:300]}"
            if answer.status == 422:
                assert any(name in field or "tenants." in field for field in answer.json["errors"]), answer.text[:300]
            if answer.status in (200, 201):
                shown = api.get("/api/tenants/victim")
                assert shown.status == 200, f"{name} = {value!r:.60}"
        put(api, {"tenant": GOOD["tenant"] | {"banned": False, "users": []}}, "/api/tenants/victim")
    assert api.call("DELETE", "/api/tenants/victim").status == 204


@pytest.mark.parametrize("query", ["limit=-1", "limit=1e3", "limit=99999999999999999999", "limit=", "limit=x", "limit=1001", "search=%ff", "after=%00",
                                   "limit=1&limit=x", "before=9223372036854775808"])
def test_parameters_that_are_wrong(api, query):
    path = "/api/audit" if "before" in query else "/api/tenants"
    assert api.get(f"{path}?{query}").status in (400, 422)
