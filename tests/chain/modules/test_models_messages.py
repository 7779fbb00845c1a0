"""Models that a vote registers or changes."""

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.gov.v1 import gov_pb2 as gov

from pivot.chain.errors import NetworkCode
from pivot.chain.modules.gov.authority import AUTHORITY
from pivot.chain.modules.models import genesis
from pivot.chain.modules.models import state as models
from pivot.chain.modules.models.messages import MAX_ARGUMENTS, MAX_FIGURE, MAX_TEXT_BYTES
from pivot.chain.modules.pricing.state import price
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgRegisterModel
from pivot.protocol.pricing import MAX_PRICE, MAX_TOKENS_PER_REQUEST
from tests.chain.chain import plain_block
from tests.chain.modules.governance import Parliament, address
from tests.chain.modules.test_gov_messages import refusal


def model(**fields: object) -> MsgRegisterModel:
    return MsgRegisterModel(**{"authority": AUTHORITY, "id": "Qwen/QwQ-32B", **fields})


def test_a_registered_model_has_a_price_from_its_first_block() -> None:
    chain = Parliament()
    first = model(
        proposed_by=address("alice"),
        hf_repo="Qwen/QwQ-32B",
        hf_commit="abc",
        model_args=["--quantization", "fp8", "--kv-cache-dtype=fp8", "--max-logprobs", "5"],
        v_ram=80,
        throughput_per_nonce=1000,
        validation_threshold=Decimal(value=98, exponent=-2),
        context_window=32_768,
    )
    assert chain.pass_(first).status == gov.PROPOSAL_STATUS_PASSED
    assert chain.events("model_registered") == [{"model_id": "Qwen/QwQ-32B"}]
    found = models.model(chain.state, "Qwen/QwQ-32B")
    assert found is not None
    assert (list(found.model_args), found.v_ram, found.context_window) == (list(first.model_args), 80, 32_768)
    assert (found.proposed_by, found.validation_threshold) == (address("alice"), first.validation_threshold)
    assert (price(chain.state, "Qwen/QwQ-32B") or 0) > 0
    chain.pass_(model(coins_per_token=7))
    changed = models.model(chain.state, "Qwen/QwQ-32B")
    assert changed is not None
    assert (changed.coins_per_token, changed.hf_repo, changed.proposed_by) == (7, "", AUTHORITY)
    assert not changed.HasField("validation_threshold")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", ""),
        ("id", "x" * (models.MAX_MODEL_ID + 1)),
        ("id", "a\nb"),
        ("hf_repo", "x" * (MAX_TEXT_BYTES + 1)),
        ("hf_commit", "\0"),
        ("coins_per_token", MAX_PRICE + 1),
        ("context_window", MAX_TOKENS_PER_REQUEST + 1),
        ("v_ram", MAX_FIGURE + 1),
        ("throughput_per_nonce", MAX_FIGURE + 1),
        ("validation_threshold", Decimal(value=2)),
        ("validation_threshold", Decimal(value=-1)),
        ("validation_threshold", Decimal(value=1, exponent=-30)),
        ("model_args", ["--a"] + ["x"] * MAX_ARGUMENTS),
        ("model_args", ["--a", ""]),
        ("model_args", ["--a", "x" * (MAX_TEXT_BYTES + 1)]),
        ("model_args", ["fp8"]),
        ("model_args", ["--dtype", "float16", "--dtype=bfloat16"]),
        ("model_args", ["--max-logprobs", "4"]),
        ("model_args", ["--max-logprobs=4"]),
        ("model_args", ["--max-logprobs"]),
        ("model_args", ["--dtype", "float16", "--max-logprobs", "-1"]),
    ],
)
def test_a_model_that_nobody_could_serve_or_check_is_refused_by_name(name: str, value: object) -> None:
    refused = refusal(model(**{name: value}))
    assert (refused.code, name in refused.log) == (NetworkCode.INVALID_FIELD, True)


def test_enough_log_probabilities_may_be_demanded() -> None:
    chain = Parliament()
    assert chain.submit(model(model_args=["--max-logprobs=20", "--dtype", "float16"])).code == 0


def test_only_governance_registers_models() -> None:
    assert refusal(model(authority=address("alice"))).code == NetworkCode.NOT_GOVERNANCE


def test_an_export_is_loaded_as_the_same_models() -> None:
    chain = Parliament()
    chain.pass_(model(v_ram=80), model(id="other"))
    document = genesis.export(chain.state)
    genesis.load(block := plain_block(), document)
    assert models.models(block.state) == models.models(chain.state)
    assert [each.id for each in models.models(block.state)] == ["Qwen/QwQ-32B", "other"]
    with pytest.raises(ValueError, match="twice"):
        genesis.load(block, document)
