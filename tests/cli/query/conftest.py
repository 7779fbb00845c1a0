"""The chain and the keyring of the transactions' tests."""

from tests.cli.tx.conftest import ask, engine, home

__all__ = ["ask", "engine", "home"]
