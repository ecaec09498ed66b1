"""libpq's TLS modes in both directions, and what happens around the handshake."""

from __future__ import annotations

import signal
import socket
import ssl
import time

import psycopg
import pytest

from certs import Authority
from pooler import Pooler, Tenant, users_of
from postgres import Postgres
from wire import GSSENC_REQUEST, SSL_REQUEST, ServerError, Wire, query, startup

pytestmark = pytest.mark.penstock
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def works(pooler: Pooler, **params: object) -> bool | None:
    """Whether the connection was encrypted; None when it could not be made."""
    try:
        with pooler.endpoint().connect(**{"sslrootcert": str(pooler.ca.cert), **params}) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            return bool(connection.pgconn.ssl_in_use)
    except psycopg.OperationalError:
        return None


@pytest.mark.parametrize("ours", ["disable", "allow", "prefer", "require"])
def test_client_modes_against_server_modes(pooler_of, ours: str):
    pooler = pooler_of({"client_tls.mode": ours})
    offered, forced = ours != "disable", ours == "require"
    for theirs in MODES:
        wanted: bool | None
        if theirs == "disable":
            wanted = None if forced else False
        elif theirs == "allow":
            wanted = True if forced else False
        elif theirs == "prefer":
            wanted = offered
        else:
            wanted = True if offered else None
        assert works(pooler, host="localhost", sslmode=theirs) == wanted, f"client {theirs}, pooler {ours}"


def test_verify_full_wants_the_right_name(pooler: Pooler):
    assert works(pooler, host="localhost", sslmode="verify-full") is True
    assert works(pooler, host="wrong.example", hostaddr="127.0.0.1", sslmode="verify-full") is None
    assert works(pooler, host="wrong.example", hostaddr="127.0.0.1", sslmode="verify-ca") is True


def test_verify_ca_wants_the_right_authority(pooler: Pooler, scratch):
    stranger = Authority(scratch / "stranger", "Somebody else")
    assert works(pooler, host="localhost", sslmode="verify-ca", sslrootcert=str(stranger.cert)) is None


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_clients_must_show_a_certificate(pooler_of, ca: Authority, mode: str):
    pooler = pooler_of({"client_tls.mode": mode})
    own, other = ca.issue("mine-app", cn="app"), ca.issue("mine-other", cn="other")
    assert works(pooler, host="localhost", sslmode="require") is None
    assert works(pooler, host="localhost", sslmode="disable") is None
    assert works(pooler, host="localhost", sslmode="require", sslcert=own.cert, sslkey=own.key) is True
    assert works(pooler, host="localhost", sslmode="require", sslcert=other.cert, sslkey=other.key) \
        is (True if mode == "verify-ca" else None)


def test_direct_tls(pooler: Pooler):
    assert works(pooler, host="localhost", sslmode="verify-full", sslnegotiation="direct") is True


def test_direct_tls_needs_the_protocol_name(pooler: Pooler):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    with socket.create_connection(("127.0.0.1", pooler.port), 5) as raw:
        with pytest.raises((ssl.SSLError, ConnectionError, OSError)):
            with context.wrap_socket(raw) as tls:
                tls.sendall(startup({"user": "app", "database": "app"}))
                if not tls.recv(1):
                    raise ConnectionError("closed")
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.start_tls(direct=True)
        wire.login("app", "app-secret", "app")
        assert wire.value("SELECT 1") == "1"


def test_alpn_is_answered_after_ssl_request(pooler: Pooler):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["postgresql"])
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.start_tls(context)
        assert wire.socket.selected_alpn_protocol() == "postgresql"  # type: ignore[attr-defined]


@pytest.mark.parametrize("maximum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions(pooler: Pooler, maximum: ssl.TLSVersion):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = maximum
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.start_tls(context)
        wire.login("app", "app-secret", "app")
        assert wire.value("SELECT repeat('x', 100000)") == "x" * 100000


def test_sessions_are_resumed_by_ticket(pooler: Pooler):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session = None
    reused = []
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", pooler.port), 5) as raw:
            raw.sendall(SSL_REQUEST)
            assert raw.recv(1) == b"S"
            with context.wrap_socket(raw, session=session) as tls:
                tls.sendall(startup({"user": "app", "database": "app"}))
                tls.recv(1)
                reused.append(tls.session_reused)
                session = tls.session
    assert reused[0] is False and any(reused[1:]), reused


def test_gss_encryption_is_declined_and_tls_may_follow(pooler: Pooler):
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.send(GSSENC_REQUEST)
        assert wire.read_exactly(1) == b"N"
        wire.start_tls()
        wire.login("app", "app-secret", "app")
        assert wire.value("SELECT 1") == "1"
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.send(GSSENC_REQUEST)
        assert wire.read_exactly(1) == b"N"
        wire.login("app", "app-secret", "app")
        assert wire.value("SELECT 1") == "1"


def test_data_before_the_handshake_is_refused(pooler: Pooler):
    """CVE-2021-23222: what a man in the middle puts behind SSLRequest must never be taken for the client's word."""
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.send(SSL_REQUEST + startup({"user": "app", "database": "app"}) + query("SELECT 1"))
        rest = b""
        try:
            while piece := wire.socket.recv(4096):
                rest += piece
        except ConnectionError:
            pass
        assert rest[:1] in (b"", b"S", b"E"), rest
        assert b"R\0\0\0" not in rest, "the start-up message in clear text was taken"


@pytest.mark.parametrize("twice", [SSL_REQUEST, GSSENC_REQUEST], ids=["ssl", "gss"])
def test_the_same_request_twice(pooler: Pooler, twice: bytes):
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.send(GSSENC_REQUEST)
        assert wire.read_exactly(1) == b"N"
        if twice == SSL_REQUEST:
            wire.start_tls()
        wire.send(twice)
        got = wire.socket.recv(1)
        assert got in (b"", b"E", b"N"), got


def test_certificates_are_read_again_on_sighup(pooler_of, ca: Authority, scratch):
    pair = ca.issue("rotated", cn="localhost")
    pooler = pooler_of(pair=pair)

    def serial() -> int:
        from cryptography import x509
        with Wire("127.0.0.1", pooler.port) as wire:
            wire.start_tls()
            return x509.load_der_x509_certificate(wire.socket.getpeercert(True)).serial_number  # type: ignore[attr-defined]

    with pooler.endpoint(tls=True).connect() as kept:
        before = serial()
        ca.issue("rotated", cn="localhost")
        pooler.reload()
        deadline = time.monotonic() + 3
        while serial() == before and time.monotonic() < deadline:
            time.sleep(0.1)
        assert serial() != before
        assert kept.execute("SELECT 1").fetchone() == (1,)


def test_broken_certificate_at_reload_keeps_the_old_one(pooler_of, ca: Authority):
    pair = ca.issue("broken", cn="localhost")
    pooler = pooler_of(pair=pair)
    pair.cert.write_text("not a certificate")
    pooler.signal(signal.SIGHUP)
    pooler.wait_log("broken.crt")
    with pooler.endpoint(tls=True).connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_large_results_over_tls_in_both_directions(pooler: Pooler):
    with pooler.endpoint(tls=True).but(user="app.secure", password="app-secret").connect() as connection:
        answer, length = connection.execute("SELECT repeat('y', 20000000), length(%s)", ["z" * 10_000_000]).fetchone()
        assert len(answer) == 20_000_000 and length == 10_000_000


# ---- towards the server


def upstream(pooler_of, pg: Postgres, mode: str, host: str = "localhost", ca_file: str | None = None) -> str | None:
    """'tls' or 'plain' as the server sees it; None when the client could not log in."""
    options = {"upstream-tls": mode}
    if ca_file:
        options["upstream-tls-ca-file"] = ca_file
    pooler = pooler_of({"timeouts.query_wait": "2s", "timeouts.upstream_login_retry": "100ms"},
                       tenants=[Tenant("default", [f"{host}:{pg.port}"], options, users_of("app"))])
    try:
        with pooler.endpoint().wire() as wire:
            secure = wire.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return "tls" if secure == "t" else "plain"
    except ServerError:
        return None


@pytest.mark.parametrize("mode,wanted", [("disable", "plain"), ("allow", "plain"), ("prefer", "tls"), ("require", "tls"),
                                         ("verify-ca", "tls"), ("verify-full", "tls")])
def test_upstream_modes(pooler_of, pg: Postgres, ca: Authority, mode: str, wanted: str):
    assert upstream(pooler_of, pg, mode, ca_file=str(ca.cert)) == wanted


@pytest.mark.parametrize("mode,wanted", [("prefer", "plain"), ("require", None), ("allow", "plain")])
def test_upstream_modes_when_the_server_has_no_tls(pooler_of, pg_of, mode: str, wanted: str | None):
    if not hasattr(pg_of, "without_tls"):
        pg_of.without_tls = pg_of(conf="ssl = off\n", hba="host all all all scram-sha-256\n")
    assert upstream(pooler_of, pg_of.without_tls, mode) == wanted


def test_upstream_verification(pooler_of, pg: Postgres, ca: Authority, scratch):
    stranger = Authority(scratch / "upstream-stranger", "Somebody else")
    assert upstream(pooler_of, pg, "verify-ca", ca_file=str(stranger.cert)) is None
    assert upstream(pooler_of, pg, "require", ca_file=str(stranger.cert)) in (None, "tls")  # libpq verifies here too
    assert upstream(pooler_of, pg, "verify-full", host="ip6-localhost", ca_file=str(ca.cert)) is None


def test_server_that_answers_ssl_request_with_more_than_one_byte(pooler_of, pg: Postgres):
    from fakes import FakeServer
    with FakeServer(lambda peer: (peer.recv(8), peer.sendall(b"S" + b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"))) as fake:
        pooler = pooler_of({"timeouts.query_wait": "2s"}, tenants=[Tenant("default", [f"127.0.0.1:{fake.port}"],
                                                                          {"upstream-tls": "require"}, users_of("app"))])
        with pytest.raises(ServerError), pooler.endpoint().wire():
            pass


def test_handshake_storm_leaves_running_queries_alone(pooler_of):
    import threading
    pooler = pooler_of({"client_tls.handshakes_per_second": 50})
    with pooler.endpoint().connect() as connection:
        stop = threading.Event()

        def storm() -> None:
            while not stop.is_set():
                try:
                    with Wire("127.0.0.1", pooler.port, timeout=5) as wire:
                        wire.start_tls()
                except (OSError, ssl.SSLError):
                    pass

        threads = [threading.Thread(target=storm) for _ in range(4)]
        for thread in threads:
            thread.start()
        worst = 0.0
        end = time.monotonic() + 2
        while time.monotonic() < end:
            begun = time.monotonic()
            connection.execute("SELECT 1")
            worst = max(worst, time.monotonic() - begun)
        stop.set()
        for thread in threads:
            thread.join()
        assert worst < 0.5


