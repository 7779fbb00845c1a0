"""Logs on standard error, one shape for our own lines and those of libraries: JSON, or text for people.

A line that is written while a request is answered carries the request's name (`request_id`), at the transfer agent and at the executor.
"""

import logging
import sys

import structlog

QUIET = ("aiosqlite", "alembic", "aiohttp.access", "sqlalchemy", "uvicorn.error")
"""Libraries that tell at `info` or `debug` what only their authors want to know, or, as those of the database, what nobody may know."""
JSON_FORMAT = "json"


def configure_logs(level: str, log_format: str = JSON_FORMAT) -> None:
    """Send everything from `level` on to standard error, one line each. May be called again."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer(colors=False)
    if log_format == JSON_FORMAT:
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
    )
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove_meta, renderer])
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
