"""Postgres 11 to 18 behind the pooler."""

from __future__ import annotations

import psycopg
import pytest

from pooler import Endpoint, default_tenant
from postgres import ALL_VERSIONS, DEBIAN_VERSION, binaries

OTHERS = [version for version in ALL_VERSIONS if version != DEBIAN_VERSION]


@pytest.fixture(scope="module")
def servers(pg_of):
    """One server per version, for as long as this module runs."""
    running: dict[str, object] = {}

    def get(version: str):
        if version not in running:
            if binaries(version) is None:
                pytest.fail(f"Postgres {version} is not installed: run test/e2e/setup.sh")
            running[version] = pg_of(version=version)
        return running[version]

    yield get
    for server in running.values():
        server.stop()


@pytest.fixture
def through(servers, request, io):
    """(endpoint, direct endpoint) for a version."""
    def get(version: str) -> tuple[Endpoint, Endpoint]:
        server = servers(version)
        straight = Endpoint(host="127.0.0.1", port=server.port)
        if io == "none":
            return straight, straight
        pooler_of = request.getfixturevalue("pooler_of")
        return pooler_of({"pool.size": 2}, server=server, tenants=[default_tenant(server)]).endpoint(), straight
    return get


@pytest.mark.parametrize("version", OTHERS)
def test_version(through, version: str):
    at, straight = through(version)
    with at.wire(TimeZone="Asia/Tokyo") as wire, straight.wire(TimeZone="Asia/Tokyo") as direct:
        assert wire.parameters == direct.parameters
        assert (wire.value("SHOW server_version_num") or "")[:2] == version
    with at.connect() as connection:
        for turn in range(8):
            assert connection.execute("SELECT %s::int + 1", [turn], prepare=True).fetchone() == (turn + 1,)
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::text", [str(n)], prepare=True) for n in range(30)]
        assert [cursor.fetchone()[0] for cursor in cursors] == [str(n) for n in range(30)]
        with connection.transaction():
            connection.execute("CREATE TEMP TABLE t (a int) ON COMMIT DROP")
            with connection.cursor().copy("COPY t FROM STDIN") as copy:
                for n in range(1000):
                    copy.write_row([n])
            assert connection.execute("SELECT sum(a) FROM t").fetchone() == (499500,)
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0")
        connection.execute("SET TimeZone = 'America/New_York'")
        assert connection.execute("SHOW TimeZone").fetchone() == ("America/New_York",)
    for user in ("md5user", "plainuser", "other"):
        from postgres import ROLES
        with at.but(user=user, password=ROLES[user]).wire() as wire:
            assert wire.value("SELECT current_user") == user


@pytest.mark.parametrize("version", ["18"])
def test_long_cancel_keys_from_the_server(through, version: str):
    import threading
    at, _ = through(version)
    with at.connect() as connection:
        timer = threading.Timer(0.2, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(20)")
        timer.join()
