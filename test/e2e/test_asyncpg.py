"""asyncpg: its own protocol code, named statements by default, its own reset query and cancelling."""

from __future__ import annotations

import asyncio
import io
import ssl
import uuid

import asyncpg
import pytest

from pooler import Endpoint


async def open_connection(at: Endpoint, **more: object) -> asyncpg.Connection:
    tls: object = False
    if at.tls:
        tls = ssl.create_default_context(cafile=at.ca)
    return await asyncpg.connect(host=at.tls_host, port=at.port, user=at.user, password=at.password, database=at.dbname,
                                 ssl=tls, timeout=10, **more)


def test_statement_cache_over_many_statements(endpoint: Endpoint):
    async def work() -> None:
        connection = await open_connection(endpoint, statement_cache_size=50)
        for turn in range(2):
            for number in range(150):
                assert await connection.fetchval(f"SELECT $1::int + {number}", turn) == turn + number
        await connection.close()
    asyncio.run(work())


def test_statement_cache_off(endpoint: Endpoint):
    async def work() -> None:
        connection = await open_connection(endpoint, statement_cache_size=0)
        for number in range(20):
            assert await connection.fetchval("SELECT $1::int", number) == number
        await connection.close()
    asyncio.run(work())


def test_explicit_prepared_statement_between_other_clients(endpoint: Endpoint):
    async def work() -> None:
        connections = [await open_connection(endpoint) for _ in range(6)]
        statements = [await connection.prepare(f"SELECT $1::int * {number}")
                      for number, connection in enumerate(connections)]
        for turn in range(10):
            answers = await asyncio.gather(*[statement.fetchval(turn) for statement in statements])
            assert answers == [turn * number for number in range(6)]
        for connection in connections:
            await connection.close()
    asyncio.run(work())


def test_transactions_and_cursors(endpoint: Endpoint):
    async def work() -> None:
        connection = await open_connection(endpoint)
        name = f"t_{uuid.uuid4().hex}"
        await connection.execute(f"CREATE TABLE {name} (a int)")
        async with connection.transaction():
            await connection.executemany(f"INSERT INTO {name} VALUES ($1)", [(number,) for number in range(500)])
            with pytest.raises(asyncpg.DivisionByZeroError):
                async with connection.transaction():
                    await connection.execute("SELECT 1/0")
            seen = [record["a"] async for record in connection.cursor(f"SELECT a FROM {name} ORDER BY a", prefetch=40)]
            assert seen == list(range(500))
        with pytest.raises(ZeroDivisionError):
            async with connection.transaction(isolation="serializable"):
                await connection.execute(f"DELETE FROM {name}")
                raise ZeroDivisionError
        assert await connection.fetchval(f"SELECT count(*) FROM {name}") == 500
        await connection.execute(f"DROP TABLE {name}")
        await connection.close()
    asyncio.run(work())


def test_copy_both_ways(endpoint: Endpoint):
    async def work() -> None:
        connection = await open_connection(endpoint)
        name = f"t_{uuid.uuid4().hex}"
        await connection.execute(f"CREATE TABLE {name} (a int, b text)")
        records = [(number, f"row {number}") for number in range(10000)]
        await connection.copy_records_to_table(name, records=records)
        out = io.BytesIO()
        await connection.copy_from_query(f"SELECT * FROM {name} ORDER BY a", output=out, format="csv")
        assert out.getvalue().decode() == "".join(f"{a},{b}\n" for a, b in records)
        with pytest.raises(asyncpg.PostgresError):
            await connection.copy_to_table(name, source=io.BytesIO(b"not a number,x\n"), format="csv")
        assert await connection.fetchval("SELECT 1") == 1
        await connection.execute(f"DROP TABLE {name}")
        await connection.close()
    asyncio.run(work())


def test_timeout_cancels_on_the_server(endpoint: Endpoint):
    async def work() -> None:
        connection = await open_connection(endpoint)
        with pytest.raises(asyncio.TimeoutError):
            await connection.execute("SELECT pg_sleep(20)", timeout=0.3)
        assert await connection.fetchval("SELECT 7", timeout=5) == 7
        task = asyncio.create_task(connection.fetchval("SELECT pg_sleep(20)"))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await connection.fetchval("SELECT 8", timeout=5) == 8
        await connection.close()
    asyncio.run(work())


def test_pool_with_its_reset_query(endpoint: Endpoint):
    async def work() -> None:
        tls: object = ssl.create_default_context(cafile=endpoint.ca) if endpoint.tls else False
        pool = await asyncpg.create_pool(host=endpoint.tls_host, port=endpoint.port, user=endpoint.user,
                                         password=endpoint.password, database=endpoint.dbname, ssl=tls, min_size=4,
                                         max_size=8)
        async with pool:
            answers = await asyncio.gather(*[pool.fetchval("SELECT $1::int", number) for number in range(200)])
        assert answers == list(range(200))
    asyncio.run(work())


def test_server_settings_at_start(endpoint: Endpoint):
    async def work() -> None:
        connection = await open_connection(endpoint, server_settings={"application_name": "named", "TimeZone": "Asia/Tokyo",
                                                                      "search_path": "pg_catalog"})
        assert await connection.fetchval("SHOW application_name") == "named"
        assert await connection.fetchval("SHOW TimeZone") == "Asia/Tokyo"
        assert await connection.fetchval("SHOW search_path") == "pg_catalog"
        assert connection.get_settings().TimeZone == "Asia/Tokyo"
        await connection.close()
    asyncio.run(work())


def test_types_and_introspection(endpoint: Endpoint):
    async def work() -> None:
        connection = await open_connection(endpoint)
        name = f"mood_{uuid.uuid4().hex}"
        await connection.execute(f"CREATE TYPE {name} AS ENUM ('sad', 'happy')")
        assert await connection.fetchval(f"SELECT $1::{name}", "sad") == "sad"
        assert await connection.fetchval(f"SELECT array['sad','happy']::{name}[]") == ["sad", "happy"]
        assert await connection.fetchrow("SELECT $1::jsonb, $2::uuid, $3::bytea", '{"a": 1}', uuid.UUID(int=1), b"\0") \
            == ('{"a": 1}', uuid.UUID(int=1), b"\0")
        await connection.execute(f"DROP TYPE {name}")
        await connection.close()
    asyncio.run(work())


def test_listen(endpoint: Endpoint):
    async def work() -> None:
        connection = await open_connection(endpoint)
        heard: asyncio.Queue[str] = asyncio.Queue()
        channel = f"c_{uuid.uuid4().hex}"
        await connection.add_listener(channel, lambda *args: heard.put_nowait(args[3]))
        await connection.execute("SELECT pg_notify($1, 'hi')", channel)
        assert await asyncio.wait_for(heard.get(), 5) == "hi"
        await connection.close()
    asyncio.run(work())
