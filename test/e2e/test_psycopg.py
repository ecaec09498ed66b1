"""psycopg 3: libpq underneath, pipelines, prepared statements, COPY, cursors, notifications, cancelling."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid

import psycopg
import pytest
from psycopg import pq

from pooler import Endpoint
from postgres import Postgres


def test_types_go_there_and_back(endpoint: Endpoint):
    import datetime
    import decimal
    values = [1, 2**60, 1.5, decimal.Decimal("1.10"), "täxt", b"\0\xff", None, True, datetime.date(2024, 2, 29),
              datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc), uuid.UUID(int=5), [1, 2], {"a": [1]}]
    values[-1] = psycopg.types.json.Jsonb({"a": [1]})
    with endpoint.connect() as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            row = cursor.execute("SELECT " + ", ".join(["%s"] * len(values)), values).fetchone()
            assert list(row[:-1]) == values[:-1] and row[-1] == {"a": [1]}


def test_transactions_commit_roll_back_and_nest(endpoint: Endpoint):
    name = f"t_{uuid.uuid4().hex}"
    with endpoint.connect() as connection:
        connection.execute(f"CREATE TABLE {name} (a int)")
        with connection.transaction():
            connection.execute(f"INSERT INTO {name} VALUES (1)")
            with pytest.raises(psycopg.errors.DivisionByZero):
                with connection.transaction():
                    connection.execute(f"INSERT INTO {name} VALUES (2)")
                    connection.execute("SELECT 1/0")
        with pytest.raises(ZeroDivisionError):
            with connection.transaction():
                connection.execute(f"INSERT INTO {name} VALUES (3)")
                raise ZeroDivisionError
        assert connection.execute(f"SELECT array_agg(a) FROM {name}").fetchone() == ([1],)
        connection.execute(f"DROP TABLE {name}")


def test_pipeline_returns_every_answer_in_order(endpoint: Endpoint):
    with endpoint.connect() as connection:
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int", [number]) for number in range(500)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(500))


def test_pipeline_with_an_error_aborts_up_to_the_sync(endpoint: Endpoint):
    with endpoint.connect() as connection:
        with connection.pipeline() as pipeline:
            first = connection.execute("SELECT 1")
            with pytest.raises(psycopg.errors.DivisionByZero):
                connection.execute("SELECT 1/0").fetchone()
            with pytest.raises(psycopg.errors.PipelineAborted):
                connection.execute("SELECT 2").fetchone()
            pipeline.sync()
            last = connection.execute("SELECT 3")
        assert first.fetchone() == (1,) and last.fetchone() == (3,)


def test_pipeline_of_prepared_statements_with_transactions(endpoint: Endpoint):
    with endpoint.connect() as connection:
        connection.prepare_threshold = 0
        with connection.pipeline():
            answers = []
            for number in range(50):
                with connection.transaction():
                    answers.append(connection.execute("SELECT %s::int * 2", [number]))
        assert [cursor.fetchone()[0] for cursor in answers] == [number * 2 for number in range(50)]


def test_more_prepared_statements_than_the_cache_holds(endpoint: Endpoint):
    # The hundred-and-first makes psycopg evict: Close with libpq 17 and newer, DEALLOCATE before.
    with endpoint.connect() as connection:
        connection.prepare_threshold = 0
        for turn in range(2):
            for number in range(250):
                assert connection.execute(f"SELECT %s::int + {number}", [turn]).fetchone() == (turn + number,)


def test_evicts_with_sql_deallocate(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch):
    from psycopg import _capabilities
    monkeypatch.setattr(_capabilities.Capabilities, "has_send_close_prepared", lambda self, check=False: False)
    with endpoint.connect() as connection:
        connection.prepare_threshold = 0
        connection.prepared_max = 10
        for turn in range(2):
            for number in range(40):
                assert connection.execute(f"SELECT %s::int + {number}", [turn]).fetchone() == (turn + number,)


def test_prepared_statement_survives_other_clients_use_of_the_servers(endpoint: Endpoint):
    connections = [endpoint.connect() for _ in range(5)]
    try:
        for turn in range(10):
            for number, connection in enumerate(connections):
                answer = connection.execute(f"SELECT %s::int + {number}", [turn], prepare=True).fetchone()
                assert answer == (turn + number,)
    finally:
        for connection in connections:
            connection.close()


def test_prepared_statement_with_changed_types(endpoint: Endpoint):
    with endpoint.connect() as connection:
        for value in (1, "a", 2**40, 1.5, None):
            assert connection.execute("SELECT %s", [value], prepare=True).fetchone() is not None


def test_error_in_a_prepared_statement_leaves_it_usable(endpoint: Endpoint):
    with endpoint.connect() as connection:
        for divisor, expected in ((1, 10), (0, None), (5, 2)):
            if expected is None:
                with pytest.raises(psycopg.errors.DivisionByZero):
                    connection.execute("SELECT 10 / %s::int", [divisor], prepare=True)
            else:
                assert connection.execute("SELECT 10 / %s::int", [divisor], prepare=True).fetchone() == (expected,)


def test_server_side_cursor_in_a_transaction(endpoint: Endpoint):
    with endpoint.connect(autocommit=False) as connection:
        with connection.cursor(name="walk") as cursor:
            cursor.itersize = 70
            cursor.execute("SELECT n FROM generate_series(1, 1000) n")
            assert [row[0] for row in cursor] == list(range(1, 1001))
        with connection.cursor(name="scroll", scrollable=True) as cursor:
            cursor.execute("SELECT n FROM generate_series(1, 100) n")
            cursor.scroll(49)
            assert cursor.fetchone() == (50,)
            cursor.scroll(-10)
            assert cursor.fetchone() == (41,)


def test_client_streaming_and_single_row_mode(endpoint: Endpoint):
    with endpoint.connect() as connection:
        seen = sum(row[0] for row in connection.cursor().stream("SELECT n FROM generate_series(1, 20000) n"))
        assert seen == 20000 * 20001 // 2
        stream = connection.cursor().stream("SELECT n FROM generate_series(1, 100000) n")
        next(stream)
        stream.close()
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_copy_in_and_out(endpoint: Endpoint, binary: bool):
    with endpoint.connect(autocommit=False) as connection:
        connection.execute("CREATE TEMP TABLE t (a int4, b text) ON COMMIT DROP")
        form = "(FORMAT binary)" if binary else ""
        with connection.cursor().copy(f"COPY t FROM STDIN {form}") as copy:
            copy.set_types(["int4", "text"])
            for number in range(20000):
                copy.write_row((number, f"text {number}"))
        with connection.cursor().copy(f"COPY (SELECT * FROM t ORDER BY a) TO STDOUT {form}") as copy:
            copy.set_types(["int4", "text"])
            rows = list(copy.rows())
        assert rows == [(number, f"text {number}") for number in range(20000)]


def test_copy_given_up_by_the_client(endpoint: Endpoint):
    with endpoint.connect() as connection:
        name = f"t_{uuid.uuid4().hex}"
        connection.execute(f"CREATE TABLE {name} (a int)")
        with pytest.raises(psycopg.errors.QueryCanceled):
            with connection.cursor().copy(f"COPY {name} FROM STDIN") as copy:
                copy.write("1\n")
                raise psycopg.errors.QueryCanceled("given up")
        assert connection.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,)
        connection.execute(f"DROP TABLE {name}")


def test_copy_out_cancelled_half_way(endpoint: Endpoint):
    with endpoint.connect() as connection:
        rows = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 2000000)) TO STDOUT"
        with pytest.raises(psycopg.errors.QueryCanceled):
            with connection.cursor().copy(rows) as copy:
                for _ in range(10):
                    copy.read()
                connection.cancel_safe()
                while copy.read():
                    pass
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_notices_reach_the_handler(endpoint: Endpoint):
    heard: list[str] = []
    with endpoint.connect() as connection:
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary))
        connection.execute("DO $$ BEGIN RAISE NOTICE 'one'; RAISE NOTICE 'two'; END $$")
    assert heard == ["one", "two"]


def test_notifications_pass(endpoint: Endpoint, direct: Endpoint):
    channel = f"c_{uuid.uuid4().hex}"
    with endpoint.connect() as listener, direct.connect() as speaker:
        listener.execute(f"LISTEN {channel}")
        speaker.execute("SELECT pg_notify(%s, 'hello')", [channel])
        notes = list(listener.notifies(timeout=5, stop_after=1))
        assert [(note.channel, note.payload) for note in notes] == [(channel, "hello")]


def test_own_notification_inside_a_transaction(endpoint: Endpoint):
    channel = f"c_{uuid.uuid4().hex}"
    with endpoint.connect() as connection:
        heard: list[str] = []
        connection.add_notify_handler(lambda note: heard.append(note.payload))
        with connection.transaction():
            connection.execute(f"LISTEN {channel}")
            connection.execute(f"NOTIFY {channel}, 'mine'")
        connection.execute(f"UNLISTEN {channel}")
        assert heard == ["mine"]


@pytest.mark.parametrize("how", ["cancel", "cancel_safe"])
def test_cancel_ends_the_running_query_and_only_that(endpoint: Endpoint, how: str):
    with endpoint.connect() as connection:
        timer = threading.Timer(0.3, getattr(connection, how))
        timer.start()
        begun = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(20)")
        assert time.monotonic() - begun < 5
        timer.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_async_connection(endpoint: Endpoint):
    async def work() -> list[int]:
        async with await psycopg.AsyncConnection.connect(autocommit=True, **endpoint.params()) as connection:
            async def one(number: int) -> int:
                return (await (await connection.execute("SELECT %s::int", [number])).fetchone())[0]
            return await asyncio.gather(*[one(number) for number in range(20)])
    assert asyncio.run(work()) == list(range(20))


def test_many_threads_each_get_their_own_answers(endpoint: Endpoint):
    wrong: list[object] = []

    def work(number: int) -> None:
        try:
            with endpoint.connect() as connection:
                for turn in range(40):
                    mark = f"{number}:{turn}"
                    answer = connection.execute("SELECT %s::text, pg_sleep(0.001)", [mark]).fetchone()[0]
                    if answer != mark:
                        wrong.append((mark, answer))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:5]


def test_executemany_and_returning(endpoint: Endpoint):
    with endpoint.connect(autocommit=False) as connection:
        connection.execute("CREATE TEMP TABLE t (a int) ON COMMIT DROP")
        cursor = connection.cursor()
        cursor.executemany("INSERT INTO t VALUES (%s) RETURNING a", [(number,) for number in range(300)], returning=True)
        got = []
        while True:
            got.append(cursor.fetchone()[0])
            if not cursor.nextset():
                break
        assert got == list(range(300))


def test_two_phase_commit(endpoint: Endpoint):
    name = f"t_{uuid.uuid4().hex}"
    with endpoint.connect() as connection:
        connection.execute(f"CREATE TABLE {name} (a int)")
        connection.autocommit = False
        xid = connection.xid(1, name, "b")
        connection.tpc_begin(xid)
        connection.execute(f"INSERT INTO {name} VALUES (1)")
        connection.tpc_prepare()
        connection.tpc_commit()
        connection.autocommit = True
        assert connection.execute(f"SELECT count(*) FROM {name}").fetchone() == (1,)
        connection.execute(f"DROP TABLE {name}")


def test_libpq_chunked_rows(endpoint: Endpoint):
    if pq.version() < 170000:
        pytest.skip("needs libpq 17")
    with endpoint.connect() as connection:
        rows = list(connection.cursor().stream("SELECT n FROM generate_series(1, 1000) n", size=64))
        assert len(rows) == 1000


def test_connection_info(endpoint: Endpoint, pg: Postgres):
    with endpoint.connect() as connection:
        info = connection.info
        assert info.server_version // 10000 == pg.major
        assert info.encoding == "utf-8"
        assert info.parameter_status("standard_conforming_strings") == "on"
        assert info.timezone is not None
        assert connection.pgconn.ssl_in_use == endpoint.tls
