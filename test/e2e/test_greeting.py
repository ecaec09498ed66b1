"""What a client is told at login must be what the server itself would have told it."""

from __future__ import annotations

import pytest

from pooler import Endpoint, Pooler, Tenant, default_tenant, users_of
from postgres import free_port
from wire import ServerError, Wire

REQUESTS = {
    "nothing": {},
    "time zone": {"TimeZone": "Asia/Tokyo"},
    "any case": {"timezone": "america/new_york", "DATESTYLE": "german, dmy"},
    "encoding": {"client_encoding": "LATIN1"},
    "application": {"application_name": "it's \"me\""},
    "floats": {"extra_float_digits": "0"},
    "options": {"options": "-c intervalstyle=iso_8601 -c statement_timeout=12s"},
    "options with escapes": {"options": "-c application_name=two\\ words --DateStyle=SQL"},
    "search path": {"search_path": "pg_catalog, public"},
}


def expected(direct: Endpoint, parameters: dict[str, str]) -> dict[str, str]:
    with direct.wire(**parameters) as wire:
        return wire.parameters


@pytest.mark.parametrize("request_name", REQUESTS)
def test_reported_parameters_equal_a_direct_connections(endpoint: Endpoint, direct: Endpoint, request_name: str):
    parameters = REQUESTS[request_name]
    with endpoint.wire(**parameters) as wire:
        assert wire.parameters == expected(direct, parameters)


@pytest.mark.penstock
def test_cold_pool_waits_for_the_first_server(pooler_of, direct: Endpoint):
    pooler = pooler_of()
    with pooler.endpoint().wire(TimeZone="Asia/Tokyo") as wire:
        assert wire.parameters == expected(direct, {"TimeZone": "Asia/Tokyo"})
        assert wire.value("SHOW TimeZone") == "Asia/Tokyo"


def test_greeting_has_a_cancel_key_and_idle_status(plain: Endpoint):
    with plain.wire() as wire:
        kinds = "".join(message.type for message in wire.greeting)
        assert kinds.strip("RS") == "KZ", kinds
        assert wire.greeting[-1].body == b"I"
        assert len(wire.key) == 4 and wire.pid != 0


@pytest.mark.penstock
def test_cancel_keys_differ_between_clients(plain: Endpoint):
    with plain.wire() as one, plain.wire() as two:
        assert (one.pid, one.key) != (two.pid, two.key)


def test_bad_parameter_value_gets_the_servers_own_error(plain: Endpoint, direct: Endpoint):
    found = []
    for at in (plain, direct):
        with pytest.raises(ServerError) as error, at.wire(TimeZone="Nowhere/Land"):
            pass
        found.append((error.value.fields["S"], error.value.sqlstate, error.value.fields["M"]))
    assert found[0] == found[1]


def test_unknown_parameter_gets_the_servers_own_error(plain: Endpoint, direct: Endpoint):
    found = []
    for at in (plain, direct):
        with pytest.raises(ServerError) as error, at.wire(no_such_parameter="1"):
            pass
        found.append((error.value.sqlstate, error.value.fields["M"]))
    assert found[0] == found[1]
    with plain.wire() as wire:
        assert wire.value("SELECT 1") == "1"


def test_unknown_database_gets_the_servers_own_error(plain: Endpoint, direct: Endpoint):
    found = []
    for at in (plain, direct):
        with pytest.raises(ServerError) as error, at.but(dbname="no_such_database").wire():
            pass
        found.append((error.value.sqlstate, error.value.fields["M"]))
    assert found[0] == found[1] == ("3D000", 'database "no_such_database" does not exist')


@pytest.mark.penstock
def test_refused_server_login_reaches_the_client(pooler_of, pg):
    tenant = default_tenant(pg)
    tenant.users["other"] = {"secret": "mine", "upstream-secret": "not the server's"}
    at = pooler_of(tenants=[tenant]).endpoint(user="other", password="mine")
    with pytest.raises(ServerError) as error, at.wire():
        pass
    assert error.value.sqlstate == "28P01"
    assert "password authentication failed" in error.value.fields["M"]


@pytest.mark.penstock
def test_unreachable_server_is_told_at_once(pooler_of, pg):
    tenant = Tenant("default", [f"127.0.0.1:{free_port()}"], {"upstream-tls": "disable"}, users_of("app"))
    pooler = pooler_of({"timeouts.query_wait": "3s"}, tenants=[tenant])
    with pytest.raises(ServerError) as error, pooler.endpoint().wire():
        pass
    assert error.value.sqlstate[:2] == "08" or error.value.sqlstate == "57P03", error.value
    assert error.value.fields.get("H") or error.value.fields.get("D"), "an error the user can act on has a hint"
    pooler.wait_log("connect")


@pytest.mark.penstock
def test_server_that_is_starting_is_waited_for(pooler_of, pg_of):
    server = pg_of()
    pooler = pooler_of(server=server, tenants=[default_tenant(server)])
    server.stop()
    try:
        wire = Wire("127.0.0.1", pooler.port, timeout=20)
        from wire import startup
        wire.send(startup({"user": "app", "database": "app"}))
        server.start()
        try:
            wire.authenticate("app", "app-secret")
            wire.finish_greeting()
            assert wire.value("SELECT 1") == "1"
        except ServerError as error:
            assert error.sqlstate[:2] == "08" or error.sqlstate == "57P03", error
        # Whatever the first one met, the pool must be well again soon.
        for _ in range(50):
            try:
                with pooler.endpoint().wire() as again:
                    assert again.value("SELECT 1") == "1"
                    break
            except ServerError:
                import time
                time.sleep(0.2)
        else:
            pytest.fail("the pool did not recover within 10 s of the server's return")
    finally:
        if server._process is None:
            server.start()


@pytest.mark.penstock
def test_servers_connection_limit_reaches_the_client(pooler_of, pg):
    pooler = pooler_of({"timeouts.query_wait": "3s"})
    holder = Endpoint(host="127.0.0.1", port=pg.port, user="limited", password="limited-secret").connect()
    try:
        with pytest.raises(ServerError) as error, pooler.endpoint(user="limited").wire():
            pass
        assert error.value.sqlstate == "53300"
    finally:
        holder.close()


def test_settings_changed_by_the_client_are_reported(plain: Endpoint):
    with plain.wire() as wire:
        reply = wire.query("SET application_name = 'renamed'")
        reported = [m.body for m in reply.messages if m.type == "S"]
        assert reported == [b"application_name\0renamed\0"]


@pytest.mark.penstock
def test_application_name_may_carry_the_clients_address(pooler_of):
    pooler = pooler_of({"pool.application_name_add_host": True})
    with pooler.endpoint().wire(application_name="shop") as wire:
        assert "shop - 127.0.0.1:" in (wire.value("SHOW application_name") or "")
