from tests.api.fleet.parts import chain, http, identity, outbox, settings

__all__ = ["chain", "http", "identity", "outbox", "settings"]
