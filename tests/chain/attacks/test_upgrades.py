"""What an upgrade leaves behind."""

import pytest

from pivot.chain.application import Application
from pivot.chain.modules.upgrade import state as upgrades
from tests.chain.modules.governance import Parliament
from tests.chain.modules.test_upgrade import HEIGHT, agreed, knows


def test_a42_a_plan_that_was_applied_stops_nothing_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that stayed had the existing network's nodes restart whenever a connection closed."""
    chain = agreed(Parliament())
    knows(monkeypatch, "v2")
    chain.application = Application(chain.store)
    chain.block()
    assert upgrades.plan(chain.state) is None
    for _ in range(3):
        chain.application = Application(chain.store)
        chain.block()
    assert chain.height == HEIGHT + 3
