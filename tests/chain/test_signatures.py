"""Each signature is checked once."""

from collections.abc import Sequence

import pytest

from pivot.chain import signatures
from pivot.chain.server.verification import FEW, SignatureThreads
from pivot.chain.signatures import SignatureCheck, Signatures, check_each
from tests.chain.chain import key

ALICE = key("alice")


def check(message: bytes, *, good: bool = True) -> SignatureCheck:
    return SignatureCheck(ALICE.public_key, message, ALICE.sign(message if good else b"another"))


class Counter:
    """Counts what is checked ahead."""

    def __init__(self) -> None:
        self.checked = 0

    def check(self, checks: Sequence[SignatureCheck]) -> list[bool]:
        self.checked += len(checks)
        return check_each(checks)


def test_good_signatures_are_good_and_bad_ones_bad_however_often() -> None:
    found = Signatures()
    for _ in range(2):
        assert found.verify(check(b"m"))
        assert not found.verify(check(b"m", good=False))


def test_what_is_known_is_not_checked_again() -> None:
    counter = Counter()
    found = Signatures(counter.check)
    assert found.verify(check(b"1"))
    found.verify_ahead([check(b"1"), check(b"2"), check(b"2"), check(b"3", good=False)])
    assert counter.checked == 2
    found.verify_ahead([check(b"2")])
    assert counter.checked == 2
    assert not found.verify(check(b"3", good=False))


def test_a_good_signature_says_nothing_of_another_message() -> None:
    found = Signatures()
    good = check(b"m")
    assert found.verify(good)
    assert not found.verify(good._replace(message=b"n"))
    assert not found.verify(good._replace(public_key=key("bob").public_key))


def test_old_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter()
    found = Signatures(counter.check)
    for i in range(3):
        found.verify_ahead([check(b"%d %d" % (i, j)) for j in range(2)])
    before = counter.checked
    monkeypatch.setattr(signatures, "REMEMBERED", 2)
    found.verify_ahead([check(b"new")])
    found.verify_ahead([check(b"newer"), check(b"newest")])
    found.verify_ahead([check(b"last"), check(b"very last")])
    found.verify_ahead([check(b"0 0")])
    assert counter.checked == before + 6


def test_threads_give_the_same_results_in_the_same_order() -> None:
    checks = [check(b"%d" % i, good=i % 3 > 0) for i in range(3 * FEW)]
    for threads in (1, 2, 5):
        pool = SignatureThreads(threads)
        assert pool.check(checks) == check_each(checks)
        assert pool.check(checks[:2]) == [False, True]
        pool.close()
