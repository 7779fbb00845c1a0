import pytest

from pivot.api.fleet.declaration import InvalidNode, NodeDeclaration
from pivot.api.fleet.interface import Serve
from pivot.api.fleet.models import registered_models, require_servable, serving
from pivot.protocol.generated.inference.inference.types_pb2 import Model
from tests.api.fleet.chain import FakeChain

KNOWN = {"big": ("--quantization", "fp8"), "small": ()}


async def test_models_come_from_the_chain_with_their_arguments() -> None:
    chain = FakeChain(models=[Model(id="big", model_args=["--quantization", "fp8"]), Model(id="small")])
    assert await registered_models(chain) == KNOWN


def test_the_first_declared_model_that_the_network_knows_is_served() -> None:
    assert serving({"unknown": (), "big": ("-tp", "2"), "small": ()}, KNOWN) == Serve(
        "big", ("--quantization", "fp8", "--tensor-parallel-size", "2")
    )
    assert serving({"unknown": ()}, KNOWN) is None


def test_a_registration_that_changed_wins_over_the_hosts_argument() -> None:
    assert serving({"big": ("--quantization", "int4")}, KNOWN) == Serve("big", ("--quantization", "fp8"))


@pytest.mark.parametrize(
    ("models", "named"),
    [({"unknown": {}}, "models: .*'unknown'"), ({"big": {"args": ["--quantization", "x"]}}, "models.big.args")],
)
def test_unknown_models_and_contradicting_arguments_are_refused_by_name(models: object, named: str) -> None:
    document = {"id": "n", "host": "h", "inference_port": 1, "poc_port": 2, "max_concurrent": 1, "models": models}
    with pytest.raises(InvalidNode, match=named):
        require_servable(NodeDeclaration.parse(document), KNOWN)
