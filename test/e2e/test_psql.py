"""psql, as people use it."""

from __future__ import annotations

import re
import uuid

from pooler import Endpoint
from programs import psql, run


def test_answers_queries_and_recovers_from_errors(endpoint: Endpoint):
    done = psql("SELECT 1;\nSELECT nonsense;\nSELECT 'after';\n", at=endpoint, check=False)
    assert done.stdout.split() == ["1", "after"]
    assert 'column "nonsense" does not exist' in done.stderr


def test_multi_statement_query_runs_as_one_transaction(endpoint: Endpoint):
    done = run("psql", "-XAt", "-c", "SELECT 1; SELECT 2; SELECT 3", at=endpoint)
    assert done.stdout.split() == ["1", "2", "3"]
    name = f"multi_{uuid.uuid4().hex}"
    failed = run("psql", "-XAt", "-c", f"CREATE TABLE {name} (a int); SELECT 1/0", at=endpoint, check=False)
    assert "division by zero" in failed.stderr
    assert run("psql", "-XAt", "-c", f"SELECT to_regclass('{name}') IS NULL", at=endpoint).stdout.strip() == "t"


def test_describe_commands(endpoint: Endpoint):
    name = f"described_{uuid.uuid4().hex[:8]}"
    script = (f"CREATE TABLE {name} (id int PRIMARY KEY, note text);\n\\d {name}\n\\dt {name}\n\\l\n\\du\n\\dn\n\\df lower\n"
              f"\\dp {name}\n\\conninfo\nDROP TABLE {name};\n")
    out = run("psql", "-XAq", at=endpoint, stdin=script).stdout
    assert f'Table "public.{name}"' in out and f"{name}_pkey" in out
    assert "You are connected to database" in out


def test_copy_both_ways(endpoint: Endpoint):
    rows = "".join(f"{number}\trow {number}\n" for number in range(5000))
    script = f"BEGIN;\nCREATE TEMP TABLE t (a int, b text) ON COMMIT DROP;\nCOPY t FROM STDIN;\n{rows}\\.\n" \
             "COPY (SELECT * FROM t ORDER BY a) TO STDOUT;\nCOMMIT;\n"
    assert psql(script, at=endpoint).stdout == rows


def test_backslash_copy_in_its_own_transaction(endpoint: Endpoint):
    name = f"copied_{uuid.uuid4().hex}"
    script = f"CREATE TABLE {name} (a int);\n\\copy {name} FROM STDIN\n1\n2\n3\n\\.\nSELECT sum(a) FROM {name};\n" \
             f"\\copy {name} TO STDOUT\nDROP TABLE {name};\n"
    assert psql(script, at=endpoint).stdout.split() == ["6", "1", "2", "3"]


def test_bad_copy_row_names_the_line_and_leaves_the_connection_usable(endpoint: Endpoint):
    script = "BEGIN;\nCREATE TEMP TABLE t (a int) ON COMMIT DROP;\nCOPY t FROM STDIN;\n1\nx\n\\.\nROLLBACK;\nSELECT 'fine';\n"
    done = psql(script, at=endpoint, check=False)
    assert "COPY t, line 2" in done.stderr
    assert done.stdout.strip() == "fine"


def test_watch(endpoint: Endpoint):
    # \watch has no count in this psql: the query itself fails the third time round.
    name = f"watch_{uuid.uuid4().hex}"
    script = f"CREATE SEQUENCE {name};\nSELECT 10 / (3 - nextval('{name}'))\n\\watch 0.1\n"
    done = psql(script, at=endpoint, check=False)
    assert "division by zero" in done.stderr
    psql(f"DROP SEQUENCE {name}", at=endpoint)


def test_transaction_blocks_and_savepoints(endpoint: Endpoint):
    script = ("BEGIN;\nSELECT 1;\nSAVEPOINT s;\nSELECT 1/0;\nROLLBACK TO s;\nSELECT 2;\nCOMMIT;\n"
              "BEGIN;\nSELECT 1/0;\nCOMMIT;\nSELECT 3;\n")
    done = psql(script, at=endpoint, check=False)
    assert done.stdout.split() == ["1", "2", "3"]
    assert done.stderr.count("division by zero") == 2


def test_gset_gexec_and_variables(endpoint: Endpoint):
    script = "SELECT 40 AS a \\gset\nSELECT :a + 2;\nSELECT 'SELECT ' || n FROM generate_series(1,3) n \\gexec\n"
    assert psql(script, at=endpoint).stdout.split() == ["42", "1", "2", "3"]


def test_bind_gdesc_and_crosstab(endpoint: Endpoint):
    out = psql("SELECT 1::int8 AS a, 'x'::text AS b \\gdesc\n"
               "SELECT a, b, a*b FROM generate_series(1,2) a, generate_series(1,2) b \\crosstabview\n", at=endpoint).stdout
    assert "a|bigint" in out and "2|2|4" in out


def test_notices_arrive(endpoint: Endpoint):
    done = psql("DO $$ BEGIN RAISE NOTICE 'hear me'; RAISE WARNING 'and me'; END $$;\n", at=endpoint)
    assert "NOTICE:  hear me" in done.stderr and "WARNING:  and me" in done.stderr


def test_single_transaction_file_and_on_error_stop(endpoint: Endpoint):
    done = psql("SELECT 1;\nSELECT 1/0;\nSELECT 2;\n", "-v", "ON_ERROR_STOP=1", "-1", at=endpoint, check=False)
    assert done.returncode == 3 and done.stdout.split() == ["1"]


def test_connects_again_with_connect_command(endpoint: Endpoint):
    out = psql("SELECT 1;\n\\connect\nSELECT 2;\n", at=endpoint).stdout
    assert re.findall(r"^\d$", out, re.MULTILINE) == ["1", "2"]


def test_fetch_count_reads_by_cursor(endpoint: Endpoint):
    out = psql("\\set FETCH_COUNT 100\nSELECT n FROM generate_series(1,1000) n;\n", at=endpoint).stdout
    assert out.split() == [str(n) for n in range(1, 1001)]


def test_large_objects_inside_a_transaction(endpoint: Endpoint, tmp_path):
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(bytes(range(256)) * 4000)
    # \lo_import wraps itself in a transaction; it uses the protocol's function calls.
    oid = re.search(r"\d+", psql(f"\\lo_import {source}\n", at=endpoint).stdout
                    or psql(f"\\lo_import {source}\n\\echo :LASTOID\n", at=endpoint).stdout)
    assert oid
    psql(f"\\lo_export {oid.group()} {target}\n\\lo_unlink {oid.group()}\n", at=endpoint)
    assert target.read_bytes() == source.read_bytes()
