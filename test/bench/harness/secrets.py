"""What the logins of a benchmark need: a SCRAM verifier and a certificate."""

import base64
import hashlib
import hmac
import subprocess

from .lab import Unusable

# Of the canned server.
SALT = b"penstock-bench-1"
ITERATIONS = 4096


def scram_verifier(password, salt=SALT, iterations=ITERATIONS):
    """As in pg_authid.rolpassword (RFC 5802, RFC 7677)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encode = lambda raw: base64.b64encode(raw).decode()  # noqa: E731
    return f"SCRAM-SHA-256${iterations}:{encode(salt)}${encode(stored_key)}:{encode(server_key)}"


def certificate(folder, key="rsa"):
    """(certificate, key) in files below `folder`, made when they are not there; key: rsa (2048 bits) or ec (P-256)."""
    cert_file, key_file = folder / f"{key}.crt", folder / f"{key}.key"
    if not cert_file.exists():
        kind = ["rsa:2048"] if key == "rsa" else ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        made = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-days", "30", "-subj", "/CN=localhost",
             "-keyout", key_file, "-out", cert_file], capture_output=True, text=True)
        if made.returncode != 0:
            raise Unusable(f"openssl: {made.stderr.strip()[-300:]}")
        key_file.chmod(0o644)  # PgBouncer reads it as somebody else; it lives as long as the benchmark
    return cert_file, key_file
