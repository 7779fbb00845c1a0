"""One shape for all lines, with the request's name on those of its path."""

import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog
from sqlalchemy import text

from pivot.api.database import Database, connect
from pivot.api.inference import hop
from pivot.api.logs import configure_logs
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference
from tests.api.databases import ON_BOTH


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_lines_of_both_kinds_of_logger_carry_the_requests_name(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    with structlog.contextvars.bound_contextvars(request_id="req-1"):
        structlog.get_logger("a").info("candidate_failed", host="gonka1x")
        logging.getLogger("b").warning("block %d", 5)
    logging.getLogger("b").debug("not told")
    first, second = (orjson.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["event"], first["host"], first["request_id"]) == ("candidate_failed", "gonka1x", "req-1")
    assert (second["event"], second["level"], second["request_id"]) == ("block 5", "warning", "req-1")


def test_lines_for_people_are_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "text")
    structlog.get_logger("a").error("request_failed", node="node1", exc_info=ValueError("no such thing"))
    text = capsys.readouterr().err
    assert "request_failed" in text
    assert "node=node1" in text
    assert "ValueError: no such thing" in text
    assert "\x1b" not in text


@ON_BOTH
async def test_statements_and_their_values_are_in_no_log(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("debug")
    again = connect(database.engine.url.render_as_string(hide_password=False))
    statement = text("INSERT INTO poc_votes (epoch, votes) VALUES (1, :votes)").bindparams(votes=b"treasure")
    async with again.session() as session:
        await session.execute(statement)
    await again.close()
    logged = capsys.readouterr().err
    assert "treasure" not in logged
    assert "poc_votes" not in logged


def test_the_requests_name_goes_to_the_executor() -> None:
    assert hop.REQUEST_ID_HEADER not in hop.request_headers(MsgStartInference(), 1.0)
    with structlog.contextvars.bound_contextvars(request_id="req-1"):
        assert hop.request_headers(MsgStartInference(), 1.0)[hop.REQUEST_ID_HEADER] == "req-1"
