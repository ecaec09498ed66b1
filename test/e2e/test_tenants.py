"""How a client says which tenant it means: by user name, option, TLS server name or database; and the default."""

from __future__ import annotations


import psycopg
import pytest

from pooler import Pooler, Tenant, users_of
from postgres import ROLES
from wire import ServerError, Wire

pytestmark = pytest.mark.penstock


@pytest.fixture
def tenants(pooler_of, pg) -> Pooler:
    """Each tenant leads to a database of its own name, so that current_database() tells where one has landed."""
    for name in ("red", "green", "blue"):
        if not pg.sql("SELECT 1 FROM pg_database WHERE datname = %s", (name,)):
            pg.sql(f"CREATE DATABASE {name} OWNER app")
    where = [f"{pg.host}:{pg.port}"]
    return pooler_of(tenants=[
        Tenant("default", where, {"upstream-tls": "disable"}, users_of("app")),
        Tenant("red", where, {"upstream-database": "red", "sni-names": "red.tenants.test"}, users_of("app")),
        Tenant("green", where, {"upstream-database": "green", "databases": ["greens", "meadow"]}, users_of("app")),
        Tenant("blue", where, {"upstream-database": "blue"}, {"app.dotted": {"secret": "s", "upstream-user": "app",
                                                                              "upstream-secret": ROLES["app"]}}),
    ])


def lands(pooler: Pooler, user: str = "app", database: str = "app", server_name: str | None = None,
          password: str = ROLES["app"], **parameters: str) -> str | None:
    with Wire("127.0.0.1", pooler.port) as wire:
        if server_name is not None:
            wire.start_tls(server_name=server_name)
        wire.login(user, password, database, **parameters)
        return wire.value("SELECT current_database()")


def test_plain_names_lead_to_the_default_tenant(tenants: Pooler):
    assert lands(tenants) == "app"


def test_suffix_of_the_user_name(tenants: Pooler):
    assert lands(tenants, "app.red") == "red"
    assert lands(tenants, "app.green", "anything") == "green"


def test_last_dot_counts(tenants: Pooler):
    assert lands(tenants, "app.dotted.blue", password="s") == "blue"


def test_slashes_in_names_do_not_lead_to_another_users_connections(pooler_of, pg):
    pg.sql('DROP ROLE IF EXISTS "svc/app"')
    pg.sql("""CREATE ROLE "svc/app" LOGIN SUPERUSER PASSWORD 'of svc'""")
    try:
        users = {**users_of("app"), "svc/app": {"secret": "of svc"}}
        pooler = pooler_of(tenants=[Tenant("q", [f"{pg.host}:{pg.port}"], {"upstream-tls": "disable"}, users)])
        endpoint = pooler.endpoint()
        with endpoint.but(user="svc/app.q", password="of svc").connect() as service:
            assert service.execute("SELECT current_user").fetchone() == ("svc/app",)
            # As often as there are workers, for they settle on different ones.
            for _ in range(4):
                with pytest.raises(psycopg.OperationalError, match='database "app/svc" does not exist'):
                    with endpoint.but(user="app.q", dbname="app/svc").connect() as stranger:
                        pytest.fail(f"works as {stranger.execute('SELECT current_user').fetchone()}")
    finally:
        pg.sql('DROP ROLE "svc/app"')


@pytest.mark.parametrize("options", ["reference=red", "-c reference=red", "--reference=red"])
def test_reference_in_options(tenants: Pooler, options: str):
    assert lands(tenants, options=options) == "red"


def test_reference_with_other_options_that_reach_the_server(tenants: Pooler):
    with tenants.endpoint().connect(options="reference=red -c statement_timeout=7s") as connection:
        assert connection.execute("SELECT current_database(), current_setting('statement_timeout')").fetchone() \
            == ("red", "7s")


def test_tls_server_name(tenants: Pooler):
    assert lands(tenants, server_name="red.tenants.test") == "red"
    assert lands(tenants, server_name="RED.tenants.test") == "red"
    assert lands(tenants, server_name="green.tenants.test") == "green"  # the first label is a tenant's id
    assert lands(tenants, server_name="localhost") == "app"


def test_user_suffix_beats_server_name(tenants: Pooler):
    assert lands(tenants, "app.green", server_name="red.tenants.test") == "green"


def test_database_name(tenants: Pooler):
    assert lands(tenants, database="meadow") == "green"
    assert lands(tenants, database="greens") == "green"


def test_tenants_do_not_share_servers(tenants: Pooler):
    with tenants.endpoint(user="app.red", password=ROLES["app"]).connect() as one, \
            tenants.endpoint(user="app.green", password=ROLES["app"]).connect() as two:
        pids = {connection.execute("SELECT pg_backend_pid()").fetchone()[0] for connection in (one, two)}
        assert len(pids) == 2


def test_without_a_default_tenant_plain_names_are_refused_like_wrong_passwords(pooler_of, pg):
    pooler = pooler_of({"server.default_tenant": ""},
                       tenants=[Tenant("red", [f"{pg.host}:{pg.port}"], {}, users_of("app"))])
    with pytest.raises(ServerError) as error, pooler.endpoint().wire():
        pass
    assert error.value.sqlstate == "28P01"
    with pooler.endpoint().but(user="app.red").wire() as wire:
        assert wire.value("SELECT 1") == "1"


def test_tenant_that_requires_tls(pooler_of, pg):
    pooler = pooler_of(tenants=[Tenant("default", [f"{pg.host}:{pg.port}"], {"require-tls": "true"}, users_of("app"))])
    with pytest.raises(psycopg.OperationalError):
        pooler.endpoint().connect()
    with pooler.endpoint(tls=True).connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pooler.unix_endpoint.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_default_parameters_and_connect_query(pooler_of, pg):
    pooler = pooler_of(tenants=[Tenant("default", [f"{pg.host}:{pg.port}"],
                                       {"default-parameters": "search_path=pg_catalog",
                                        "connect-query": "SELECT set_config('my.mark', 'set', false)"},
                                       users_of("app"))])
    with pooler.endpoint().wire() as wire:
        assert wire.value("SHOW search_path") == "pg_catalog"
        assert wire.value("SELECT current_setting('my.mark', true)") == "set"
    with pooler.endpoint().wire(search_path="public") as wire:
        assert wire.value("SHOW search_path") == "public"


def test_several_hosts_are_tried_in_turn(pooler_of, pg):
    from postgres import free_port
    pooler = pooler_of(tenants=[Tenant("default", [f"127.0.0.1:{free_port()}", f"{pg.host}:{pg.port}"], {},
                                       users_of("app"))])
    with pooler.endpoint().wire() as wire:
        assert wire.value("SELECT 1") == "1"


def test_commands_show_tenants_without_their_secrets(tenants: Pooler):
    listed = tenants.cli("tenant", "list").stdout
    assert all(name in listed for name in ("default", "red", "green", "blue"))
    shown = tenants.cli("tenant", "show", "red").stdout
    assert "red.tenants.test" in shown and ROLES["app"] not in shown


def test_tenant_removed_while_running(tenants: Pooler):
    import time
    assert lands(tenants, "app.red") == "red"
    tenants.cli("tenant", "remove", "red")
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        try:
            lands(tenants, "app.red")
        except ServerError as error:
            if error.sqlstate == "57P01":
                continue  # it was logged in when the tenant went
            assert error.sqlstate == "28P01"
            return
        time.sleep(0.1)
    pytest.fail("a removed tenant's user can still log in after 3 s")


def test_check_names_the_place_of_a_mistake(pooler_of):
    pooler = pooler_of(start=False)
    pooler.settings["pool.size"] = "many"
    pooler.write_config()
    done = pooler.cli("check", check=False)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "penstock.toml:" in text and "size" in text
    pooler.expect_dead = True


