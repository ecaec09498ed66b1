"""What a client's words leave in the server's session, however they are written, must not reach the next client."""

from __future__ import annotations

import pytest

from pooler import Endpoint
from wire import ServerError

pytestmark = pytest.mark.penstock


@pytest.fixture
def one(pooler_of) -> Endpoint:
    return pooler_of({"pool.size": 1, "timeouts.query_wait": "1s"}).endpoint()


def left_behind(at: Endpoint, *texts: str, ask: str) -> str | None:
    """What `ask` tells another client after one has said these texts and keeps its connection."""
    with at.wire() as first, at.wire() as other:
        for text in texts:
            assert not first.query(text).errors, text
        try:
            return other.value(ask)
        except ServerError as error:  # the only server belongs to the first
            assert error.sqlstate == "53300", error
            return None


# ---- settings ----


@pytest.mark.parametrize("name", ["local.foo", "transaction.foo", "constraints.foo", "session.foo", "local . foo",
                                  "names.foo", "schema.foo", "LOCAL/**/.foo", "timezone .foo", "session local.foo"])
def test_setting_whose_name_begins_as_a_word_of_sql(one: Endpoint, name: str):
    real = name.removeprefix("session ").replace("/**/", "").replace(" ", "")
    assert left_behind(one, f"SET {name} = 'x'", ask=f"SELECT current_setting('{real}', true)") is None
