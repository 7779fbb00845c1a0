"""Attacks on the checking of answers: work that costs nothing to ask for, and what an accuser may win."""

from typing import Any

import pytest

from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.inferences.answers import details
from pivot.chain.modules.validation import duties as duties_module
from pivot.chain.modules.validation.duties import draw, drawn_for
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal
from tests.chain.chain import key
from tests.chain.modules.checking import EPOCH, PASSED, Checking, checking_params

SEGMENT = 7


def test_a_report_costs_the_same_however_many_answers_its_segment_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member may report as often as it likes, for nothing: were the whole draw made for each message, it could stop the chain."""
    network = Checking()
    answered = [network.answer("alice") for _ in range(5)]
    network.after_segment(SEGMENT)
    network.reveal("bob", SEGMENT)
    looked_at = []
    original = duties_module.drawn

    def counting(element: bytes, answers: Any, *rest: Any) -> list[str]:
        listed = list(answers)
        looked_at.append(len(listed))
        return original(element, listed, *rest)

    monkeypatch.setattr(duties_module, "drawn", counting)
    network.deliver(network.reports("bob", SEGMENT, {answered[0]: PASSED}))
    for _ in range(3):
        network.deliver(network.reports("bob", SEGMENT, {answered[0]: PASSED}))
    assert looked_at == [1, 1, 1, 1]


def test_one_report_is_judged_by_the_same_draw_as_the_segment() -> None:
    network = Checking(params=checking_params(max_validation_average=Decimal(value=1)))
    answered = [network.answer("alice") for _ in range(12)] + [network.answer("carol") for _ in range(12)]
    network.after_segment(SEGMENT)
    served = effective(network.state)
    for name in network.hosts:
        host, element = key(name).address, network.element(name, SEGMENT)
        found = draw(network.state, served, host, element)
        records = [details(network.state, EPOCH, SEGMENT, each) for each in sorted(answered)]
        one_by_one = [each.inference_id for each in records if each is not None and found.names(each)]
        assert one_by_one == drawn_for(network.state, EPOCH, SEGMENT, host, element)
        assert len(one_by_one) < len(answered)
