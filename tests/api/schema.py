"""The schema that the program declares, beside the one that a database has."""

import importlib
import pkgutil
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

import pivot.api
from pivot.api.database import Base


def differences(connection: Connection) -> list[Any]:
    """What a database has otherwise than the `tables.py` of all rooms declare it; nothing after all migrations."""
    for module in pkgutil.walk_packages(pivot.api.__path__, "pivot.api."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found: list[Any] = compare_metadata(context, Base.metadata)
    return found
