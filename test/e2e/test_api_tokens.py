"""Tokens that nobody has signed, or that say what they must not say."""

from __future__ import annotations

import base64
import hmac
import json
import string
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from api import SECRET, Api, token
from attack import DENIED, api, bystander, keys, pem, raw_call, served  # noqa: F401

pytestmark = [pytest.mark.penstock, pytest.mark.timeout(120)]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def parts(header: object, claims: object) -> str:
    return ".".join(b64(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, claims))


def signed(header: object, claims: object, secret: bytes = SECRET.encode()) -> str:
    text = parts(header, claims)
    return text + "." + b64(hmac.digest(secret, text.encode(), "sha256"))


def signed_by_key(key: object, algorithm: str, claims: object) -> str:
    text = parts({"alg": algorithm}, claims)
    if isinstance(key, rsa.RSAPrivateKey):
        return text + "." + b64(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))  # type: ignore[attr-defined]
    return text + "." + b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def bad_tokens(keys: dict[str, object]) -> dict[str, str]:
    later, hs = int(time.time()) + 3600, {"alg": "HS256", "typ": "JWT"}
    good = {"exp": later}
    jwk = {"kty": "oct", "k": b64(b"0" * 40)}
    found = {
        "empty": " ", "dots": "..", "four parts": token() + ".x", "no signature": token().rsplit(".", 1)[0] + ".",
        "no algorithm": signed({"typ": "JWT"}, good), "algorithm none": parts({"alg": "none"}, good) + ".",
        "algorithm None": parts({"alg": "None"}, good) + ".", "none, signed": signed({"alg": "none"}, good),
        "algorithm a number": signed({"alg": 256}, good), "algorithm a list": signed({"alg": ["HS256"]}, good),
        "algorithm in small letters": signed({"alg": "hs256"}, good), "an unknown algorithm": signed({"alg": "HS1"}, good),
        "HS384 with a signature of HS256": signed({"alg": "HS384"}, good),
        "the public key as a secret": signed(hs, good, pem(keys["rsa"])),
        "the public key without its last line end": signed(hs, good, pem(keys["rsa"]).strip()),
        "the public EC key as a secret": signed(hs, good, pem(keys["ec"])),
        "an empty secret": signed(hs, good, b""), "a secret of its own in jwk": signed(hs | {"jwk": jwk}, good, b"0" * 40),
        "a key named by kid": signed(hs | {"kid": "/dev/null"}, good, b""),
        "a key fetched from elsewhere": signed(hs | {"jku": "http://127.0.0.1/keys"}, good, b"0" * 40),
        "a critical extension": signed(hs | {"crit": ["exp"]}, good),
        "a compressed payload": signed(hs | {"zip": "DEF"}, b"\x78\x9c\x03\x00"),
        "expired": signed(hs, {"exp": later - 7200}), "exp missing": signed(hs, {}), "exp a text": signed(hs, {"exp": str(later)}),
        "exp null": signed(hs, {"exp": None}), "exp true": signed(hs, {"exp": True}), "exp a list": signed(hs, {"exp": [later]}),
        "exp negative": signed(hs, {"exp": -1}), "exp minus infinity": signed(hs, b'{"exp":-1e400}'),
        "exp NaN": signed(hs, b'{"exp":NaN}'), "exp in the past by a double": signed(hs, b'{"exp":1e-300}'),
        "exp twice, the last in the past": signed(hs, f'{{"exp":{later},"exp":1}}'.encode()),
        "not yet": signed(hs, good | {"nbf": later}), "nbf a text": signed(hs, good | {"nbf": "now"}),
        "scope a number": signed(hs, good | {"scope": 7}), "scope null": signed(hs, good | {"scope": None}),
        "scope an object": signed(hs, good | {"scope": {"read": True}}), "scope empty": signed(hs, good | {"scope": ""}),
        "scope in other letters": signed(hs, good | {"scope": "READ"}), "scope a list of lists": signed(hs, good | {"scope": [["read"]]}),
        "tenants a number": signed(hs, good | {"tenants": 1}), "tenants empty": signed(hs, good | {"tenants": []}),
        "tenants null": signed(hs, good | {"tenants": None}), "tenants an object": signed(hs, good | {"tenants": {"default": 1}}),
        "another tenant": signed(hs, good | {"tenants": ["acme"]}), "tenant with a star": signed(hs, good | {"tenant": "*"}),
        "claims a list": signed(hs, b"[]"), "claims a text": signed(hs, b'"exp"'), "claims not JSON": signed(hs, b"{exp:1}"),
        "claims not UTF-8": signed(hs, b'{"exp":9999999999,"sub":"\xff\xfe"}x'), "claims deep": signed(hs, b"[" * 5000 + b"]" * 5000),
        "header deep": signed(b'{"alg":' + b"[" * 3000 + b"]" * 3000 + b"}", good), "header a list": signed(b"[]", good),
        "padding": ".".join(part + "=" * (-len(part) % 4) for part in token().split(".")) + "=",
        "the other base64": token() + "+/", "line ends inside": token()[:20] + "%0" + token()[20:],
        "percent at the end": token() + "%", "a zero byte": token() + "%00", "too long": signed(hs, good | {"sub": "x" * 9000}),
        "revoked": signed(hs, good | {"jti": DENIED}),
        "RSA by another key": signed_by_key(keys["other rsa"], "RS256", good),
        "RSA said to be EC": signed_by_key(keys["rsa"], "ES256", good), "EC said to be RSA": signed_by_key(keys["ec"], "RS256", good),
        "EC of zeros": parts({"alg": "ES256"}, good) + "." + b64(b"\0" * 64),
        "EC in DER": parts({"alg": "ES256"}, good) + "." + b64(keys["ec"].sign(b"x", ec.ECDSA(hashes.SHA256()))),  # type: ignore[attr-defined]
        "RSA, empty": parts({"alg": "RS256"}, good) + ".", "RSA, huge": parts({"alg": "RS256"}, good) + "." + b64(b"\1" * 4000),
    }
    return found


def test_no_forged_token_is_taken(api, keys):
    claims = {"exp": int(time.time()) + 3600}
    for good in (token(), signed({"alg": "HS256"}, claims), signed_by_key(keys["rsa"], "RS256", claims),
                 signed_by_key(keys["ec"], "ES256", claims), token(scope=["read"])):
        assert Api(api.port, good).get("/api/tenants/default").status == 200, good
    for what, bad in bad_tokens(keys).items():
        answer = Api(api.port, bad).get("/api/tenants/default")
        assert answer.status == 403, f"{what}: {answer.status} {answer.text[:200]}"
        assert answer.json["title"] == "Forbidden"


def test_no_byte_of_a_token_can_be_changed(api):
    good = token(sub="ann", scope="read")
    alphabet = set(string.ascii_letters + string.digits + "-_")
    for at in range(len(good)):
        # The last letter of a signature has bits to spare, which must be zero.
        for other in (alphabet if at + 1 == len(good) else {"A", "_", "."}) - {good[at]}:
            answer = Api(api.port, good[:at] + other + good[at + 1:]).get("/api/tenants/default")
            assert answer.status == 403, f"byte {at} of {good} as {other}"


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "bearer\t", "Token {}", "{}", "Bearer {} {}", "Bearer: {}",
                                   "Bearer {},Bearer {}", 'Bearer "{}"'])
def test_a_token_must_come_as_a_bearer(api, value):
    answer = raw_call(api, f"GET /api/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: {value.replace('{}', token())}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 "), answer[:200]
