"""The hash chain that a host commits to and reveals."""

import pytest

from pivot.protocol.epochs import SEGMENTS
from pivot.protocol.hash_chain import element, fold, step, tip

SECRET = bytes(range(32))


def test_every_element_proves_itself_against_the_one_before() -> None:
    last = tip("pivot", 3, "gonka1host", SECRET)
    for index in range(SEGMENTS):
        revealed = element("pivot", 3, "gonka1host", SECRET, index)
        assert step("pivot", 3, "gonka1host", revealed) == last
        last = revealed
    assert last == SECRET


def test_a_chain_belongs_to_one_network_epoch_and_host() -> None:
    tips = {
        tip("pivot", 3, "gonka1host", SECRET),
        tip("other", 3, "gonka1host", SECRET),
        tip("pivot", 4, "gonka1host", SECRET),
        tip("pivot", 3, "gonka1else", SECRET),
        tip("pivot", 3, "gonka1host", bytes(32)),
    }
    assert len(tips) == 5


@pytest.mark.parametrize("index", [-2, SEGMENTS])
def test_an_element_that_no_chain_has_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="elements 0 to 23"):
        element("pivot", 3, "gonka1host", SECRET, index)


def test_a_secret_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        tip("pivot", 3, "gonka1host", SECRET[1:])


def test_folding_depends_on_value_and_element() -> None:
    assert len({fold(b"a", b"b"), fold(b"ab", b""), fold(b"b", b"a"), fold(b"a", b"c")}) == 4
