"""Passwords that change: two at once, on both sides, under load; and those who guess them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import statistics
import struct
import subprocess
import threading
import time

import pytest

from api import Api, api_settings
from pooler import Endpoint, Pooler, Tenant, default_tenant
from postgres import ROLES, free_port
from programs import BIN
from wire import Scram, ServerError, Wire, startup

pytestmark = pytest.mark.penstock


def state(at: Endpoint) -> str | None:
    """The SQLSTATE of the refusal; None: let in, and served."""
    try:
        with at.wire() as wire:
            assert wire.value("SELECT 1") == "1"
            return None
    except ServerError as error:
        return error.sqlstate


def verifier(password: str, salt: bytes, iterations: int = 4096) -> str:
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(piece).decode() for piece in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{text[0]}${text[1]}:{text[2]}"


def eventually(probe, timeout: float = 5.0) -> None:
    deadline = time.monotonic() + timeout
    while not probe():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.05)


@pytest.fixture
def role(pg):
    """A role of the server whose password may change: sets it."""
    pg.sql("DROP ROLE IF EXISTS rotating")
    pg.sql("CREATE ROLE rotating LOGIN PASSWORD 'old'")

    def change(password: str) -> None:
        pg.sql(f"ALTER ROLE rotating PASSWORD '{password}'")

    yield change
    pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'")
    pg.sql("DROP OWNED BY rotating", dbname="app")
    pg.sql("DROP ROLE rotating")


def rotating_tenant(pg, secret: str = "old", **options: str) -> Tenant:
    tenant = default_tenant(pg, **options)
    tenant.users = {"rotating": {"secret": secret}}
    return tenant


def hang_up(pg) -> None:
    """Ends the pool's server connections, so that it must log in again."""
    pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'")
    pg.wait_backends("usename = 'rotating'", 0)


# ---- two at once


@pytest.mark.parametrize("method", ["scram-sha-256", "md5", "password"])
def test_both_passwords_are_valid_while_it_is_being_changed(pooler_of, pg, role, method: str):
    pooler = pooler_of({"auth.allow_cleartext_without_tls": True}, tenants=[rotating_tenant(pg, **{"auth-method": method})])
    old, new = (pooler.endpoint(user="rotating", password=word) for word in ("old", "new"))
    shown = pooler.cli("user", "set", "rotating", "--password-stdin", "--keep-previous", "1d", stdin="new\n").stdout
    assert "previous_secret" in shown and "old" not in shown
    # The new one first: before that the old one may still be the only one that the server knows of.
    assert (state(new), state(old), state(old.but(password="other"))) == (None, None, "28P01")
    assert "client.previous_secret" in pooler.log()
    pooler.cli("user", "set", "rotating", "--unset", "previous_secret")
    eventually(lambda: state(old) == "28P01")
    assert state(new) is None
    listed = pooler.cli("user", "show", "rotating", "--json").stdout
    assert '"previous_secret_until"' not in listed


def test_the_previous_password_ends_by_itself(pooler_of, pg, role):
    pooler = pooler_of(tenants=[rotating_tenant(pg)])
    pooler.cli("user", "set", "rotating", "--password-stdin", "--keep-previous", "2s", stdin="new\n")
    old = pooler.endpoint(user="rotating", password="old")
    assert state(old) is None
    time.sleep(2.1)
    assert state(old) == "28P01"
    assert state(old.but(password="new")) is None, "towards the server the old one is tried still"


def test_verifiers_of_different_salts_take_turns(pooler_of, pg, role):
    """A SCRAM exchange has one salt. The first attempt with the old password may fail, the second gets in, and it stays so."""
    tenant = rotating_tenant(pg, verifier("new", b"a salt of 16 byt"))
    tenant.users["rotating"] |= {"previous-secret": verifier("old", b"another salt...."), "upstream-secret": "old"}
    pooler = pooler_of({"auth.ban_failures": 3, "auth.ban_exempt": []}, tenants=[tenant])
    old, new = (pooler.endpoint(user="rotating", password=word) for word in ("old", "new"))
    assert state(new) is None
    assert state(old) == "28P01"
    assert [state(old) for _ in range(5)] == [None] * 5
    assert state(new) == "28P01", "the same address: now it is the old one's turn"
    assert [state(new) for _ in range(3)] == [None] * 3
    # A password that fits neither is wrong once both have been asked for.
    assert [state(new.but(password="bad")) for _ in range(6)] == ["28P01"] * 6
    assert state(new.but(password="bad")) == "28000"


def test_a_verifier_and_a_password_are_checked_in_one_exchange(pooler_of, pg, role):
    tenant = rotating_tenant(pg, "new")
    tenant.users["rotating"] |= {"previous-secret": verifier("old", b"another salt...."), "upstream-secret": "old"}
    pooler = pooler_of(tenants=[tenant])
    assert [state(pooler.endpoint(user="rotating", password=word)) for word in ("old", "new", "old", "new", "x")] == \
        [None, None, None, None, "28P01"]


def test_keys_of_two_verifiers_open_the_server(pooler_of, pg, role):
    """Only verifiers are known: whichever the server holds, the keys of the clients who proved it log in there."""
    before = pg.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'rotating'")[0][0]
    pooler = pooler_of({"pool.size": 2}, tenants=[rotating_tenant(pg, before)])
    old, new = (pooler.endpoint(user="rotating", password=word) for word in ("old", "new"))
    assert state(old) is None
    salt = base64.b64decode(before.split(":")[1].split("$")[0])
    after = verifier("new", salt)  # the same salt: one exchange checks both
    pooler.cli("user", "set", "rotating", "--secret", after, "--keep-previous", "0")
    assert (state(new), state(old)) == (None, None)
    pg.sql(f"ALTER ROLE rotating PASSWORD '{after}'")
    hang_up(pg)
    assert (state(new), state(old), state(new)) == (None, None, None)


def test_who_shows_other_keys_neither_uses_nor_spoils_the_connections_of_others_with_the_same_role(pooler_of, pg, role):
    """Two users are the same role at the server, which holds the verifier of one of them."""
    theirs = pg.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'rotating'")[0][0]
    tenant = default_tenant(pg)
    tenant.users = {"known": {"secret": theirs, "upstream-user": "rotating"},
                    "strange": {"secret": verifier("strange", b"a salt of 16 byt"), "upstream-user": "rotating"}}
    pooler = pooler_of(tenants=[tenant])
    known, strange = pooler.endpoint(user="known", password="old"), pooler.endpoint(user="strange", password="strange")
    with known.wire() as wire:
        assert wire.value("SELECT current_user") == "rotating"
        assert state(strange) is not None, "the server would not let it in"
        hang_up(pg)
        eventually(lambda: state(known) is None)
    assert state(known) is None


def pgbench(at: Endpoint, clients: int, seconds: float, rate: int, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen([f"{BIN}/pgbench", "-n", "-S", "-M", "simple", "-c", str(clients), "-j", "1", "-T", str(int(seconds)),
                             "-R", str(rate), *more], env={**at.env(), "PGCONNECT_TIMEOUT": "20"}, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def test_rotation_under_load(pooler_of, pg, role):
    """As the manual tells it, with 200 clients of which a quarter log in all the time, and server connections of a second."""
    run_once = subprocess.run([f"{BIN}/pgbench", "-i", "-q", "-s", "1"], env=Endpoint(pg.host, pg.port).env(),
                              capture_output=True, text=True)
    assert run_once.returncode == 0, run_once.stderr
    pg.sql("GRANT SELECT ON pgbench_accounts, pgbench_branches TO rotating", dbname="app")
    pooler = pooler_of({"pool.size": 8, "pool.upstream_lifetime": "1s", "auth.ban_exempt": [], "log.level": "info"},
                       tenants=[rotating_tenant(pg)])
    old, new = (pooler.endpoint(user="rotating", password=word) for word in ("old", "new"))
    log_before = len(pg.log())
    staying = pgbench(old, 150, 22, 300)
    coming = pgbench(old, 50, 10, 60, "-C")
    time.sleep(2)
    pooler.cli("user", "set", "rotating", "--password-stdin", "--keep-previous", "1h", stdin="new\n")
    time.sleep(3)
    role("new")
    time.sleep(2)
    switched = pgbench(new, 50, 10, 60, "-C")
    outputs = [coming.communicate(timeout=60)[0]]
    pooler.cli("user", "set", "rotating", "--unset", "previous_secret")
    outputs += [load.communicate(timeout=60)[0] for load in (switched, staying)]
    for load, output in zip((coming, switched, staying), outputs):
        assert load.returncode == 0, output
        assert "aborted" not in output and "FATAL" not in output and "ERROR" not in output, output
        assert "number of failed transactions: 0" in output, output
    assert state(old) == "28P01"
    refusals = pg.log()[log_before:].count('password authentication failed for user "rotating"')
    assert 0 < refusals <= 16, "each worker's connections under way may be refused once when the server changes, not more"
    assert "client.refused" not in pooler.log().split("client.logout")[0]


# ---- the server's password


def test_the_pool_heals_when_the_password_is_corrected(pooler_of, pg, role):
    pooler = pooler_of({"auth.ban_exempt": [], "auth.ban_failures": 3}, tenants=[rotating_tenant(pg)])
    at = pooler.endpoint(user="rotating", password="old")
    assert state(at) is None
    role("new")
    with at.wire() as wire:
        assert wire.value("SELECT 1") == "1", "what has logged in stays"
    hang_up(pg)
    log_before = len(pg.log())
    with pytest.raises(ServerError) as error:
        for _ in range(10):
            with at.wire() as wire:
                wire.value("SELECT 1")
    assert error.value.sqlstate == "28P01"
    deadline = time.monotonic() + 3
    stuck = [threading.Thread(target=state, args=(at,)) for _ in range(20)]
    for thread in stuck:
        thread.start()
    while time.monotonic() < deadline:
        time.sleep(0.1)
    attempts = pg.log()[log_before:].count("password authentication failed")
    assert attempts <= 12, f"{attempts} log-ins in 3 s where each is refused"
    # The client's own password stays: that of the server is set.
    pooler.cli("user", "set", "rotating", "--upstream-secret", "new")
    started = time.monotonic()
    eventually(lambda: state(at) is None)
    assert time.monotonic() - started < 3
    for thread in stuck:
        thread.join(20)
    assert "client.banned" not in pooler.log(), "what the server refuses is no wrong password of a client"


def test_new_credentials_over_the_api_heal_the_pool(pooler_of, pg, role, tmp_path):
    pg.sql("ALTER ROLE rotating SUPERUSER")
    port = free_port()
    tenant = rotating_tenant(pg, **{"auth-query": "SELECT usename, passwd FROM pg_shadow WHERE usename = $1",
                                    "auth-user": "rotating", "auth-database": "app"})
    pooler = pooler_of(api_settings(tmp_path, port) | {"auth.query_cache_ttl": "0"}, tenants=[tenant])
    api = Api(port)
    at = pooler.endpoint(user="other")
    assert state(at) is None
    role("new")
    hang_up(pg)
    pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'other'")
    time.sleep(1.2)  # the answer of a moment ago is not asked for again
    eventually(lambda: state(at) == "28P01")
    answer = api.call("POST", "/api/tenants/default/update_auth_credentials", {"db_user": "rotating", "db_password": "new"})
    assert answer.status == 204, answer.text
    started = time.monotonic()
    eventually(lambda: state(at) is None)
    assert time.monotonic() - started < 3
    assert state(pooler.endpoint(user="rotating", password="new")) is None
    assert state(pooler.endpoint(user="rotating", password="old")) == "28P01"


def test_a_secret_that_auth_query_finds_follows_the_server(pooler_of, pg, role):
    """md5 on the server's side: the hash that auth_query reads is what the pool logs in with."""
    pg.sql("CREATE OR REPLACE FUNCTION public.secret_of(name text) RETURNS TABLE (n text, s text) LANGUAGE sql SECURITY "
           "DEFINER AS 'SELECT rolname::text, rolpassword FROM pg_authid WHERE rolname = $1 AND rolcanlogin'", dbname="app")
    tenant = default_tenant(pg, **{"auth-query": "SELECT n, s FROM public.secret_of($1)", "auth-user": "app",
                                   "auth-database": "app", "auth-method": "md5"})
    tenant.users = {"app": {"secret": ROLES["app"]}}
    pooler = pooler_of(tenants=[tenant])
    try:
        assert state(pooler.endpoint(user="md5user")) is None
        pg.sql("SET password_encryption = 'md5'; ALTER ROLE md5user PASSWORD 'changed'")
        pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'md5user'")
        time.sleep(1.1)
        eventually(lambda: state(pooler.endpoint(user="md5user", password="changed")) is None)
    finally:
        pg.sql(f"SET password_encryption = 'md5'; ALTER ROLE md5user PASSWORD '{ROLES['md5user']}'")


def test_over_the_api(pooler_of, pg, role, tmp_path):
    port = free_port()
    pooler = pooler_of(api_settings(tmp_path, port), tenants=[rotating_tenant(pg)])
    api = Api(port)
    answer = api.call("PUT", "/api/tenants/default/users/rotating", {"user": {"db_password": "new", "keep_previous": "1h"}})
    assert answer.status == 200, answer.text
    assert answer.json["data"]["previous_secret"] == {"kind": "password"}
    assert "old" not in answer.text.replace("old_", "")
    assert answer.json["data"]["previous_secret_until"]
    assert [state(pooler.endpoint(user="rotating", password=word)) for word in ("old", "new")] == [None, None]
    answer = api.call("PUT", "/api/tenants/default/users/rotating", {"user": {"keep_previous": "soon", "db_password": "x"}})
    assert answer.status == 422, answer.text
    answer = api.call("PUT", "/api/tenants/default/users/rotating", {"user": {"db_password": "newer"}})
    assert "previous_secret" not in answer.json["data"], "without a word about it the old ones end"
    eventually(lambda: state(pooler.endpoint(user="rotating", password="old")) == "28P01")


# ---- a refusal reads again first


def test_a_password_changed_a_moment_ago_is_not_called_wrong(pooler_of, pg):
    """The server looks at its catalog once a second; who comes in between with the new password is let in all the same."""
    tenant = default_tenant(pg)
    tenant.users = {"front": {"secret": "0", "upstream-user": "app", "upstream-secret": ROLES["app"]}}
    pooler = pooler_of(tenants=[tenant])
    for i in range(1, 8):
        pooler.cli("user", "set", "front", "--secret", f"word {i}")
        assert state(pooler.endpoint(user="front", password=f"word {i}")) is None
    pooler.add_user("default", "added", {"secret": "s", "upstream-user": "app", "upstream-secret": ROLES["app"]})
    assert state(pooler.endpoint(user="added", password="s")) is None, "a user who was added a moment ago"


def test_with_a_catalog_in_postgres_it_counts_as_soon_as_the_database_tells(pooler_of, pg):
    """The server keeps what the database last told it; a refusal waits for that, not for the database."""
    pg.sql("DROP DATABASE IF EXISTS rereads")
    pg.sql("CREATE DATABASE rereads")
    url = f"postgresql://postgres@{pg.host}:{pg.port}/rereads"
    tenant = default_tenant(pg)
    pooler = pooler_of({"server.catalog": url}, start=False)
    pooler.write_config()
    pooler.add_tenant(tenant)
    pooler.launch()
    for i in range(1, 6):
        pooler.cli("user", "set", "app", "--secret", f"word {i}", "--upstream-secret", ROLES["app"])
        eventually(lambda: state(pooler.endpoint(password=f"word {i}")) is None, 1)


# ---- those who guess


def from_address(pooler: Pooler, address: str, user: str, password: str) -> dict[str, str] | None:
    """A log-in from another address of the loopback network; None: let in."""
    with Wire("127.0.0.1", pooler.port, source=address) as wire:
        try:
            wire.login(user, password, "app")
            return None
        except ServerError as error:
            return error.fields


@pytest.fixture
def guarded(pooler_of, pg, tmp_path) -> tuple[Pooler, Api]:
    port = free_port()
    two = Tenant("two", [f"127.0.0.1:{pg.port}"], {"upstream-tls": "disable"}, {"app": {"secret": ROLES["app"]}})
    pooler = pooler_of(api_settings(tmp_path, port) |
                       {"auth.ban_failures": 5, "auth.ban_time": "3s", "auth.ban_exempt": ["127.0.0.9"],
                        "timeouts.upstream_login_retry_max": "1s"},
                       tenants=[default_tenant(pg), two])
    return pooler, Api(port)


def test_too_many_wrong_passwords_ban_the_address_from_the_tenant(guarded):
    pooler, api = guarded
    right = ROLES["app"]
    for _ in range(5):
        assert from_address(pooler, "127.0.0.2", "app", "guess")["C"] == "28P01"
    banned = from_address(pooler, "127.0.0.2", "app", right)
    assert banned["C"] == "28000"
    assert banned["M"] == 'too many wrong passwords from address "127.0.0.2"'
    assert "seconds" in banned["D"] and banned["H"]
    assert from_address(pooler, "127.0.0.3", "app", right) is None, "another address"
    assert from_address(pooler, "127.0.0.2", "app.two", right) is None, "another tenant"
    assert pooler.log().count("client.banned") == 1
    assert pooler.log().count("too many wrong passwords") == 0, "each refusal is counted, not told"
    metrics = api.get("/metrics").text
    assert "penstock_login_bans_total 1" in metrics
    assert 'penstock_login_failures_total{reason="banned"} 1' in metrics
    eventually(lambda: from_address(pooler, "127.0.0.2", "app", right) is None, 6)


def test_bans_are_listed_and_lifted_over_the_api(guarded):
    pooler, api = guarded
    path = "/api/tenants/default/network_bans"
    assert api.get(path).json == {"banned_ipv4_addresses": []}
    for address in ("127.0.0.2", "127.0.0.3"):
        for _ in range(5):
            from_address(pooler, address, "app", "guess")
    listed = api.get(path).json["banned_ipv4_addresses"]
    assert [ban["banned_address"] for ban in listed] == ["127.0.0.2", "127.0.0.3"]
    assert all(0 <= ban["banned_until"] - time.time() + 1 <= 4 for ban in listed)
    left = api.call("DELETE", path, {"ipv4_addresses": ["127.0.0.2", "198.51.100.1"]}).json["banned_ipv4_addresses"]
    assert [ban["banned_address"] for ban in left] == ["127.0.0.3"]
    assert from_address(pooler, "127.0.0.2", "app", ROLES["app"]) is None
    assert from_address(pooler, "127.0.0.3", "app", ROLES["app"])["C"] == "28000"


def test_networks_may_be_exempt(guarded):
    pooler, _ = guarded
    for _ in range(8):
        assert from_address(pooler, "127.0.0.9", "app", "guess")["C"] == "28P01"
    assert from_address(pooler, "127.0.0.9", "app", ROLES["app"]) is None


def test_only_wrong_passwords_count(guarded, pg):
    pooler, _ = guarded
    for _ in range(7):  # they vanish: before the challenge, and before the proof
        with Wire("127.0.0.1", pooler.port) as wire:
            wire.send(startup({"user": "app", "database": "app"}))
        with Wire("127.0.0.1", pooler.port) as wire:
            wire.send(startup({"user": "app", "database": "app"}))
            wire.read()
            wire.send(Scram("x").first())
            wire.read()
    for _ in range(7):
        assert state(pooler.endpoint(dbname="nosuch")) == "3D000"
    pg.sql("ALTER ROLE app NOLOGIN")
    try:
        pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
        for _ in range(7):
            state(pooler.endpoint(user="app.two", password=ROLES["app"]))
    finally:
        pg.sql("ALTER ROLE app LOGIN")
    assert "client.banned" not in pooler.log()
    eventually(lambda: state(pooler.endpoint()) is None, 20)


def test_bans_can_be_switched_off(pooler_of, pg):
    pooler = pooler_of({"auth.ban_failures": 0, "auth.ban_exempt": []}, tenants=[default_tenant(pg)])
    for _ in range(25):
        assert state(pooler.endpoint(password="guess")) == "28P01"
    assert state(pooler.endpoint()) is None


# ---- who is there?


def test_a_tenant_that_does_not_exist_bans_like_one_that_does(guarded):
    pooler, _ = guarded
    found = {}
    for user in ("app.two", "nobody.two", "app.nosuch"):
        address = f"127.0.1.{len(found) + 1}"
        answers = [from_address(pooler, address, user, "guess") for _ in range(6)]
        found[user] = [(answer["C"], answer["M"].replace(address, "ADDRESS").replace(user, "NAME")) for answer in answers]
    assert found["app.two"] == found["nobody.two"] == found["app.nosuch"]
    assert found["app.two"][-1] == ("28000", 'too many wrong passwords from address "ADDRESS"')


def salt_of(pooler: Pooler, user: str) -> bytes:
    with Wire("127.0.0.1", pooler.port) as wire:
        wire.send(startup({"user": user, "database": "app"}))
        wire.read()
        wire.send(Scram("x").first())
        return dict(piece.split(b"=", 1) for piece in wire.read().body[4:].split(b","))[b"s"]


def test_salts_tell_nothing(pooler_of, pg):
    stored = default_tenant(pg)
    stored.users = {"app": {"secret": verifier("x", b"a salt of 16 byt")}, "plain": {"secret": "plain"}}
    pooler = pooler_of(tenants=[stored])
    users = ["app", "plain", "nobody", "app.nosuch", "app.nosuch2", "nobody.nosuch"]
    before = [salt_of(pooler, user) for user in users]
    assert len(set(before)) == len(users), "each pair of tenant and user has its own"
    assert {len(base64.b64decode(salt)) for salt in before} == {16}
    pooler.stop()
    pooler.launch()
    assert [salt_of(pooler, user) for user in users] == before, "they outlive a restart, as stored verifiers do"


def test_refusals_come_at_the_same_moments(pooler_of, pg):
    """Whatever is wrong, the answer comes at the next moment of a fixed grid: its time tells nothing."""
    pooler = pooler_of({"auth.ban_failures": 0}, tenants=[default_tenant(pg)])
    for user in ("app", "nobody", "app.nosuch"):
        offsets = []
        for _ in range(9):
            assert state(pooler.endpoint(user=user, password="guess")) == "28P01"
            offsets.append(time.monotonic() % 0.1)
        assert statistics.median(offsets) < 0.05, (user, offsets)


def test_users_of_an_md5_tenant_are_not_told_apart(pooler_of, pg):
    pooler = pooler_of(tenants=[default_tenant(pg, **{"auth-method": "md5"})])
    codes = set()
    for user in ("app", "nobody"):
        with Wire("127.0.0.1", pooler.port) as wire:
            wire.send(startup({"user": user, "database": "app"}))
            codes.add(struct.unpack_from("!i", wire.read().body)[0])
    assert codes == {5}
