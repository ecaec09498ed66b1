"""A certificate authority for one test run, made with the openssl command: what a verify-full test needs, and nothing
that could be mistaken for a real certificate."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_CA_CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = {name}
[v3_ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[v3_leaf]
basicConstraints = CA:FALSE
subjectAltName = {alt}
"""


@dataclass(frozen=True)
class Pair:
    cert: Path
    key: Path


class Authority:
    """One CA and the certificates it has signed. Keys are EC P-256 (fast handshakes) unless asked otherwise."""

    def __init__(self, directory: Path, name: str = "Penstock test CA"):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.cert = directory / "ca.crt"
        self._key = directory / "ca.key"
        config = directory / "ca.cnf"
        config.write_text(_CA_CONFIG.format(name=name, alt="DNS:unused"))
        self._key_file(self._key, rsa=False)
        _openssl("req", "-x509", "-new", "-key", self._key, "-days", "3650", "-config", config,
                 "-extensions", "v3_ca", "-out", self.cert)

    def issue(self, name: str, *, cn: str, alt: str = "DNS:localhost,IP:127.0.0.1,IP:::1", days: int = 3650,
              rsa: bool = False) -> Pair:
        """A leaf certificate `name`.crt with subject CN `cn` and the given subjectAltName. Negative days: expired."""
        pair = Pair(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        config = self.directory / f"{name}.cnf"
        config.write_text(_CA_CONFIG.format(name=cn, alt=alt))
        self._key_file(pair.key, rsa)
        request = self.directory / f"{name}.csr"
        _openssl("req", "-new", "-key", pair.key, "-config", config, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial",
                 "-days", str(days), "-extfile", config, "-extensions", "v3_leaf", "-out", pair.cert)
        return pair

    @staticmethod
    def _key_file(path: Path, rsa: bool) -> None:
        if rsa:
            _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path)
        else:
            _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
        path.chmod(0o600)


def owned_copy(pair: Pair, directory: Path, owner: int | None) -> Pair:
    """A copy of the pair that `owner` (a uid; None: ourselves) may read: Postgres refuses keys of other owners."""
    copy = Pair(directory / pair.cert.name, directory / pair.key.name)
    for source, target in ((pair.cert, copy.cert), (pair.key, copy.key)):
        shutil.copy(source, target)
        target.chmod(0o600)
        if owner is not None:
            shutil.chown(target, owner)
    return copy


def _openssl(*args: object) -> None:
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {args[0]} failed: {done.stderr}")
