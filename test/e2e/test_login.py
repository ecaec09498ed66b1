"""Every way for a client to prove itself, and what those learn who cannot."""

from __future__ import annotations

import getpass
import hashlib
import os
import subprocess
import struct
import time

import psycopg
import pytest

from pooler import Endpoint, Pooler, Tenant, default_tenant, users_of
from postgres import ROLES
from programs import psql, run
from wire import PROTOCOL_3_0, Scram, ServerError, Wire, message, startup

pytestmark = pytest.mark.penstock


def mechanisms(wire: Wire) -> list[str]:
    got = wire.read()
    assert got.type == "R", got
    assert struct.unpack_from("!i", got.body)[0] == 10, got
    return [name.decode() for name in got.body[4:].split(b"\0") if name]


def refused(at: Endpoint, **params: object) -> psycopg.OperationalError:
    with pytest.raises(psycopg.OperationalError) as error:
        at.connect(**params).close()
    return error.value


def test_scram(pooler: Pooler):
    with pooler.endpoint().connect(require_auth="scram-sha-256") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app",)


def test_scram_offers_plus_only_over_tls(pooler: Pooler):
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.send(startup({"user": "app", "database": "app"}))
        assert mechanisms(wire) == ["SCRAM-SHA-256"]
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.start_tls()
        wire.send(startup({"user": "app", "database": "app"}))
        assert mechanisms(wire) == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]


def test_scram_plus_with_channel_binding(pooler: Pooler):
    at = pooler.endpoint(tls=True)
    assert run("psql", "-XAtc", "SELECT 1", at=at, PGCHANNELBINDING="require").stdout.strip() == "1"
    with at.connect(channel_binding="require", require_auth="scram-sha-256") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_scram_plus_with_the_wrong_certificate_is_refused(pooler: Pooler):
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.start_tls()
        wire.send(startup({"user": "app", "database": "app"}))
        mechanisms(wire)
        scram = Scram(ROLES["app"], binding=hashlib.sha256(b"another certificate").digest())
        wire.send(scram.first())
        server_first = wire.read()
        wire.send(scram.final(server_first.body[4:]))
        assert wire.expect_error()["C"] in ("28P01", "28000", "08P01")
        assert wire.at_end()


def test_downgrade_from_plus_is_noticed(pooler: Pooler):
    """gs2 flag 'y': the client could bind but believes the server cannot; over TLS the server can, so it is an attack."""
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.start_tls()
        wire.send(startup({"user": "app", "database": "app"}))
        mechanisms(wire)
        first = b"y,,n=,r=abcdefghijklmnopqrstuvwx"
        wire.send(message("p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
        assert wire.read().type == "E"


def test_stored_verifier_keeps_its_salt_and_iterations(pooler_of, pg):
    pg.sql("SET password_encryption='scram-sha-256'")
    verifier = pg.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")[0][0]
    tenant = default_tenant(pg)
    tenant.users = {"app": {"secret": verifier}}
    pooler = pooler_of(tenants=[tenant])
    # Only the verifier is known: the keys of the client's own login must open the server too.
    with pooler.endpoint().connect() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app",)
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.send(startup({"user": "app", "database": "app"}))
        mechanisms(wire)
        wire.send(Scram("x").first())
        server_first = wire.read().body[4:].decode()
        salt, iterations = verifier.split("$")[1].split(":")[1], verifier.split("$")[1].split(":")[0]
        assert f"s={salt},i={iterations}" in server_first


def test_md5(pooler_of, pg):
    tenant = default_tenant(pg, **{"auth-method": "md5"})
    hashed = "md5" + hashlib.md5(b"md5-secretmd5user").hexdigest()
    tenant.users = {"md5user": {"secret": hashed}, "app": {"secret": ROLES["app"]}}
    pooler = pooler_of(tenants=[tenant])
    with pooler.endpoint(user="md5user").connect(require_auth="md5") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("md5user",)
    assert "28P01" == refused_state(pooler, "md5user", "wrong")


def test_md5_answers_for_the_name_that_the_client_gave(pooler_of, pg):
    tenant = default_tenant(pg, **{"auth-method": "md5"})
    pooler = pooler_of(tenants=[tenant])
    with pooler.endpoint(user=f"app.{tenant.id}", password=ROLES["app"]).connect(require_auth="md5") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app",)


def refused_state(pooler: Pooler, user: str, password: str) -> str:
    with pytest.raises(ServerError) as error, pooler.endpoint(user=user, password=password).wire():
        pass
    return error.value.sqlstate


def test_md5_method_with_a_scram_verifier_asks_for_scram(pooler_of, pg):
    verifier = pg.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")[0][0]
    tenant = default_tenant(pg, **{"auth-method": "md5"})
    tenant.users = {"app": {"secret": verifier}}
    with pooler_of(tenants=[tenant]).endpoint().connect(require_auth="scram-sha-256") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_cleartext_only_over_tls(pooler_of, pg):
    tenant = default_tenant(pg, **{"auth-method": "password"})
    pooler = pooler_of(tenants=[tenant])
    with pooler.endpoint(tls=True).connect(require_auth="password") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.send(startup({"user": "app", "database": "app"}))
        got = wire.read()
        assert got.type == "E", f"asked for a cleartext password without TLS: {got}"
        assert got.fields["C"] in ("28000", "08P01", "08004")


def test_cleartext_without_tls_when_allowed(pooler_of, pg):
    pooler = pooler_of({"auth.allow_cleartext_without_tls": True},
                       tenants=[default_tenant(pg, **{"auth-method": "password"})])
    with pooler.endpoint().connect(require_auth="password") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert refused_state(pooler, "app", "wrong") == "28P01"


@pytest.fixture
def cert_tenant(pg) -> Tenant:
    tenant = default_tenant(pg)
    tenant.users = {"app": {"auth-method": "cert", "upstream-secret": ROLES["app"]},
                    "other": {"secret": ROLES["other"]}}
    return tenant


def test_client_certificate(pooler_of, pg, ca, cert_tenant):
    pooler = pooler_of(tenants=[cert_tenant])
    mine, others = ca.issue("client-app", cn="app"), ca.issue("client-else", cn="somebody")
    at = pooler.endpoint(tls=True, password=None)
    with at.connect(sslcert=mine.cert, sslkey=mine.key, require_auth="none") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app",)
    assert "certificate" in str(refused(at, sslcert=others.cert, sslkey=others.key))
    assert refused(at)
    assert refused(pooler.endpoint(password="x"))


def test_client_certificate_of_an_unknown_authority(pooler_of, cert_tenant, scratch):
    from certs import Authority
    stranger = Authority(scratch / "stranger-ca", "Somebody else").issue("client-app", cn="app")
    at = pooler_of(tenants=[cert_tenant]).endpoint(tls=True, password=None)
    assert refused(at, sslcert=stranger.cert, sslkey=stranger.key)


def test_trust_needs_no_password(pooler_of, pg):
    tenant = default_tenant(pg)
    tenant.users = {"app": {"auth-method": "trust", "upstream-secret": ROLES["app"]}}
    with pooler_of(tenants=[tenant]).endpoint(password=None).connect(require_auth="none") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app",)


def test_peer_on_a_unix_socket(pooler_of, pg):
    me = getpass.getuser()
    tenant = default_tenant(pg)
    tenant.users = {me: {"auth-method": "peer", "upstream-user": "app", "upstream-secret": ROLES["app"]},
                    "app": {"auth-method": "peer", "upstream-secret": ROLES["app"]}}
    pooler = pooler_of(tenants=[tenant])
    with pooler.unix_endpoint.but(user=me, password=None).connect() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app",)
    assert refused(pooler.unix_endpoint.but(user="app", password=None))
    assert refused(pooler.endpoint(user=me, password="x"))


def test_unix_and_abstract_sockets(pooler_of, pg):
    name = f"@penstock-test-{os.getpid()}"
    pooler = pooler_of(start=False)
    pooler.listeners.append({"address": name, "port": pooler.port})
    pooler.start()
    with pooler.endpoint().but(host=str(pooler.directory)).connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    # Not psycopg: it takes "@name" for a host name and looks it up.
    at = pooler.endpoint()
    found = subprocess.run(["psql", "-XAt", f"host={name} port={at.port} user={at.user} dbname={at.dbname}", "-c", "SELECT 1"],
                           env={**os.environ, "PGPASSWORD": str(at.password)}, capture_output=True, text=True, timeout=20)
    assert found.stdout.strip() == "1", found.stderr


def test_ipv6_client(pooler: Pooler):
    with pooler.endpoint().but(host="::1").connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_ipv6_and_unix_socket_servers(pooler_of, pg):
    tenants = [Tenant("six", [f"[::1]:{pg.port}"], {"upstream-tls": "disable"}, users_of("app")),
               Tenant("file", [f"{pg.run_directory}:{pg.port}"], {}, users_of("app"))]
    pooler = pooler_of(tenants=tenants)
    for tenant in ("six", "file"):
        with pooler.endpoint().but(user=f"app.{tenant}").connect() as connection:
            assert connection.execute("SELECT inet_client_addr()::text").fetchone()[0] in ("::1/128", "::1", None)


@pytest.mark.parametrize("user", ["md5user", "plainuser", "trusted", "tlsonly", "notls"])
def test_login_kinds_towards_the_server(pooler_of, pg, user: str):
    secret = {"secret": ROLES.get(user, "anything")}
    plain_tenant = Tenant("default", [f"127.0.0.1:{pg.port}"],
                          {"upstream-tls": "disable"}, {user: secret})
    tls_tenant = Tenant("tls", [f"localhost:{pg.port}"],
                        {"upstream-tls": "require"}, {user: secret})
    prefer_tenant = Tenant("prefer", [f"localhost:{pg.port}"], {"upstream-tls": "prefer"}, {user: secret})
    allow_tenant = Tenant("allow", [f"localhost:{pg.port}"], {"upstream-tls": "allow"}, {user: secret})
    pooler = pooler_of(tenants=[plain_tenant, tls_tenant, prefer_tenant, allow_tenant])
    works = {"default": user != "tlsonly", "tls": user != "notls", "prefer": True, "allow": True}
    for tenant, fine in works.items():
        at = pooler.endpoint(user=f"{user}.{tenant}", password=secret["secret"])
        if fine:
            with at.connect() as connection:
                assert connection.execute("SELECT current_user").fetchone() == (user,)
        else:
            assert refused(at).sqlstate in (None, "28000")


def test_client_certificate_towards_the_server(pooler_of, pg, ca):
    pair = ca.issue("upstream-certuser", cn="certuser")
    tenant = Tenant("default", [f"localhost:{pg.port}"],
                    {"upstream-tls": "verify-full", "upstream-tls-ca-file": str(ca.cert),
                     "upstream-tls-cert-file": str(pair.cert), "upstream-tls-key-file": str(pair.key)},
                    {"certuser": {"secret": "ours"}})
    with pooler_of(tenants=[tenant]).endpoint(user="certuser", password="ours").connect() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("certuser",)


def test_user_is_mapped_to_another_role(pooler_of, pg):
    tenant = default_tenant(pg)
    tenant.users = {"front": {"secret": "front door", "upstream-user": "app", "upstream-secret": ROLES["app"]}}
    with pooler_of(tenants=[tenant]).endpoint(user="front", password="front door").connect() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app",)


# ---- those who fail


def transcript(pooler: Pooler, user: str, password: str, tls: bool, **parameters: str) -> list[tuple]:
    """All that a failing login shows: message types, mechanisms, error fields with the name taken out."""
    seen: list[tuple] = []
    with Wire("127.0.0.1", pooler.port) as wire:
        if tls:
            wire.start_tls()
        wire.send(startup({"user": user, "database": "app", **parameters}, PROTOCOL_3_0))
        scram = Scram(password)
        while True:
            got = wire.read()
            if got.type == "E":
                fields = {key: value.replace(f'"{user}"', "NAME") for key, value in got.fields.items()}
                seen.append(("E", tuple(sorted(fields.items()))))
                seen.append(("end", wire.at_end()))
                return seen
            (code,) = struct.unpack_from("!i", got.body)
            if code == 10:
                seen.append(("R", code, got.body))
                wire.send(scram.first())
            elif code == 11:
                parts = dict(piece.split(b"=", 1) for piece in got.body[4:].split(b","))
                seen.append(("R", code, sorted(parts), len(parts[b"r"]), len(parts[b"s"]), parts[b"i"]))
                wire.send(scram.final(got.body[4:]))
            else:
                seen.append((got.type, code))
                return seen


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_wrong_password_unknown_user_and_unknown_tenant_look_the_same(pooler: Pooler, tls: bool):
    wrong = transcript(pooler, "app", "wrong", tls)
    assert dict(wrong[-2][1])["C"] == "28P01"
    assert transcript(pooler, "nobody", "wrong", tls) == wrong
    assert transcript(pooler, "nobody.secure", "wrong", tls) == wrong
    assert transcript(pooler, "app.secure", "wrong", tls) == wrong
    assert transcript(pooler, "app.nosuch", "wrong", tls) == wrong
    assert transcript(pooler, "app", "wrong", tls, options="reference=nosuch") == wrong


def test_unknown_user_has_a_stable_salt(pooler: Pooler):
    """A salt that changed at each attempt would tell that there is no such user."""
    salts = set()
    for _ in range(2):
        with Wire("127.0.0.1", pooler.port) as wire:
            wire.send(startup({"user": "nobody", "database": "app"}))
            wire.read()
            wire.send(Scram("x").first())
            salts.add(dict(piece.split(b"=", 1) for piece in wire.read().body[4:].split(b","))[b"s"])
    assert len(salts) == 1


def test_right_password_for_the_wrong_tenants_user(pooler: Pooler):
    assert refused(pooler.endpoint(user="limited.secure", password=ROLES["limited"]))


def test_wrong_password_is_logged_with_its_cause_and_without_the_secret(pooler: Pooler):
    before = len(pooler.log())
    refused(pooler.endpoint(password="a very wrong password"))
    seen = pooler.wait_log("app", start=before)
    assert "a very wrong password" not in seen


def test_no_user_name(pooler: Pooler):
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.send(startup({"database": "app"}))
        assert wire.expect_error()["C"] == "28000"
        assert wire.at_end()


def test_database_defaults_to_the_user_name(pooler_of, pg):
    with pooler_of().endpoint().wire() as wire:
        assert wire.value("SELECT current_database()") == "app"
    pooler = pooler_of()
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.login("app", ROLES["app"])
        assert wire.value("SELECT current_database()") == "app"


# ---- auth_query


@pytest.fixture
def asking(pooler_of, pg):
    """A tenant whose users are all read from the server."""
    pg.sql("CREATE OR REPLACE FUNCTION public.secret_of(name text) RETURNS TABLE (n text, s text) LANGUAGE sql SECURITY "
           "DEFINER AS 'SELECT rolname::text, rolpassword FROM pg_authid WHERE rolname = $1 AND rolcanlogin'", dbname="app")
    tenant = default_tenant(pg, **{"auth-query": "SELECT n, s FROM public.secret_of($1)", "auth-user": "app",
                                   "auth-database": "app"})
    tenant.users = users_of("app")
    return pooler_of({"auth.query_cache_ttl": "60s", "auth.query_negative_ttl": "1s"}, tenants=[tenant])


def test_auth_query_finds_users(asking: Pooler):
    with asking.endpoint(user="other").connect() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("other",)
    assert refused_state(asking, "other", "wrong") == "28P01"
    assert refused_state(asking, "nobody", "wrong") == "28P01"


def test_auth_query_tells_outsiders_nothing_of_the_databases(pooler_of, pg):
    """Without auth_database the client's own database is asked; one that does not exist is a wrong password."""
    tenant = default_tenant(pg, **{"auth-query": "SELECT usename, passwd FROM pg_shadow WHERE usename = $1",
                                   "auth-user": "app"})
    tenant.users = users_of("app")
    pooler = pooler_of(tenants=[tenant])
    errors = []
    for i in range(30):
        with Wire("127.0.0.1", pooler.port) as wire, pytest.raises(ServerError) as refusal:
            wire.login(f"made_up_{i}", "guess", f"made_up_{i}")
        errors.append(refusal.value.sqlstate)
    assert set(errors) == {"28P01"}
    assert "does not exist" in pooler.wait_log("made_up_29")


def test_auth_query_reads_again_before_it_refuses(asking: Pooler, pg):
    pg.sql("DROP ROLE IF EXISTS changing")
    pg.sql("CREATE ROLE changing LOGIN PASSWORD 'first'")
    try:
        with asking.endpoint(user="changing", password="first").connect():
            pass
        pg.sql("ALTER ROLE changing PASSWORD 'second'")
        # A secret read within the last second is not read again: its salt has gone out before the proof comes.
        time.sleep(1.1)
        with asking.endpoint(user="changing", password="second").connect() as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("changing",)
        assert refused_state(asking, "changing", "first") == "28P01"
    finally:
        pg.sql("DROP ROLE changing")


def test_user_added_from_the_command_line_may_log_in_at_once(pooler_of, pg):
    pooler = pooler_of()
    assert refused_state(pooler, "late", "late-secret") == "28P01"
    pooler.add_user("default", "late", {"secret": "late-secret", "upstream-user": "app", "upstream-secret": ROLES["app"]})
    for _ in range(30):
        try:
            with pooler.endpoint(user="late", password="late-secret").wire() as wire:
                assert wire.value("SELECT current_user") == "app"
                return
        except ServerError:
            time.sleep(0.1)
    pytest.fail("the new user is still refused after 3 s")


def test_psql_prompts_and_passfile(pooler: Pooler, tmp_path):
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:app:{ROLES['app']}\n")
    passfile.chmod(0o600)
    at = pooler.endpoint(password=None)
    assert run("psql", "-XAtwc", "SELECT 1", at=at, PGPASSFILE=str(passfile)).stdout.strip() == "1"
    assert psql("SELECT 1", "-w", at=at, check=False).returncode == 2
