"""A node's own parts cost no request a pause, and the thread that writes gets its turn beside a busy loop."""

import gc
import sys
from collections.abc import Iterator

import pytest

from pivot.api import interpreter


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold, turn = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    sys.setswitchinterval(turn)


def test_what_the_node_is_made_of_is_not_looked_at_while_it_runs() -> None:
    parts = [[number] for number in range(1000)]
    interpreter.prepare()
    interpreter.spare_what_is_there()
    assert gc.get_freeze_count() > len(parts)
    assert not any(part is parts for part in gc.get_objects())
    interpreter.forget_what_was_spared()
    assert gc.get_freeze_count() == 0
    assert any(part is parts for part in gc.get_objects())


def test_young_objects_are_looked_at_rarely_and_a_thread_gets_its_turn_often() -> None:
    sys.setswitchinterval(0.005)  # as Python has it
    gc.set_threshold(700)
    interpreter.prepare()
    assert gc.get_threshold()[0] == interpreter.NEW_OBJECTS > 700
    assert sys.getswitchinterval() < 0.001
