"""Models and what their tokens cost."""

import pytest
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest

from pivot.chain.errors import NetworkError
from pivot.chain.modules.models import genesis
from pivot.chain.modules.models import state as models
from pivot.chain.modules.models.invariants import check_models
from pivot.chain.modules.models.state import MAX_MODEL_ID
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisState
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal
from pivot.protocol.generated.inference.inference.types_pb2 import Model
from pivot.protocol.pricing import MAX_PRICE
from tests.chain.chain import plain_block
from tests.chain.modules.network import MODELS, Network


def test_models_are_found_by_id_and_listed_in_its_order() -> None:
    network = Network()
    models.put(network.state, Model(id="a/first", context_window=7))
    assert models.model(network.state, "a/first") == Model(id="a/first", context_window=7)
    assert models.model(network.state, "a") is None
    assert models.model(network.state, "x" * 1000) is None
    assert [each.id for each in models.models(network.state)] == ["a/first", *MODELS]


def test_models_are_listed_in_pages() -> None:
    network = Network()
    answer = network.query("ModelsAll", query_pb2.QueryModelsAllRequest(pagination=PageRequest(limit=1)))
    assert [each.id for each in answer.model] == [MODELS[0]]
    assert answer.pagination.next_key


def test_a_genesis_with_a_model_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="the genesis has the model 'a' twice"):
        genesis.begin(plain_block(), GenesisState(model_list=[Model(id="a"), Model(id="a")]))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Model(), "id must have"),
        (Model(id="x" * (MAX_MODEL_ID + 1)), "id must have"),
        (Model(id="a", coins_per_token=MAX_PRICE + 1), "coins_per_token must not be above"),
    ],
)
def test_a_genesis_with_a_model_that_cannot_be_is_refused(model: Model, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        genesis.begin(plain_block(), GenesisState(model_list=[model]))


def test_a_model_under_another_id_is_noticed() -> None:
    network = Network()
    check_models(network.state)
    network.state.set(models.STORE, models.MODELS + b"b/", Model(id="a").SerializeToString())
    with pytest.raises(AssertionError, match="the model 'a' stands under"):
        check_models(network.state)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Model(id="a", coins_per_token=MAX_PRICE + 1), "a token of a shall cost"),
        (Model(id="a", validation_threshold=Decimal(value=-1)), "answers of a are checked against"),
        (Model(id="a", validation_threshold=Decimal(value=1, exponent=-19)), "answers of a are checked against"),
    ],
)
def test_a_model_beyond_its_bounds_is_noticed(model: Model, words: str) -> None:
    state = plain_block().state
    models.put(state, model)
    with pytest.raises(AssertionError, match=words):
        check_models(state)
