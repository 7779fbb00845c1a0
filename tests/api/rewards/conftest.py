from tests.api.fleet.parts import chain, database, http, identity, outbox, settings

__all__ = ["chain", "database", "http", "identity", "outbox", "settings"]
