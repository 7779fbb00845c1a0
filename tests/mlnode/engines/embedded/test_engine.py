from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.engines.embedded.engine import embedded_planner, known_arguments
from pivot.mlnode.engines.serving import ServingEngine
from pivot.mlnode.model_cache import ModelMissing
from pivot.protocol.mlnode_api import InferenceUp
from tests.mlnode.engines.kinds import LOOPBACK, free_port
from tests.mlnode.engines.tiny import put_into_cache

REVISION = "0123456789abcdef0123456789abcdef01234567"


async def command(models: Path, *arguments: str, caches: tuple[Path, ...] = ()) -> list[str]:
    request = InferenceUp(model="pivot/tiny-random", additional_args=list(arguments))
    [instance] = (await embedded_planner(models, caches)(request)).instances
    return list(instance.command(5001))


async def test_only_known_arguments_are_passed_on(models: Path) -> None:
    found = await command(
        models, "--max-model-len", "64", "--max-num-seqs=4", "--dtype=bfloat16", "--max-logprobs", "5"
    )
    assert found[found.index("--port") :] == [
        *("--port", "5001", "--end-with-stdin", "--max-model-len=64", "--max-num-seqs=4")
    ]
    assert known_arguments([]) == {}


@pytest.mark.parametrize(
    ("arguments", "vectors"),
    [(["--runner", "pooling", "--convert", "embed"], True), (["--runner=generate"], False), ([], False)],
)
async def test_a_model_registered_for_embeddings_is_served_for_them(
    models: Path, arguments: list[str], *, vectors: bool
) -> None:
    assert ("--vectors" in await command(models, *arguments)) is vectors


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--trust-remote-code"], "'--trust-remote-code' is none of the arguments"),
        (["--quantization", "fp8"], "does not know '--quantization'; it knows --max-model-len, --max-num-seqs"),
        (["--max-num-seqs", "many"], "--max-num-seqs cannot be 'many'"),
        (["--max-num-seqs", "0"], "--max-num-seqs cannot be '0'"),
    ],
)
def test_other_arguments_are_refused_by_name(arguments: list[str], sentence: str) -> None:
    with pytest.raises(EngineFailed, match=sentence):
        known_arguments(arguments)


@pytest.mark.parametrize("arguments", [["--dtype", "int3"], []])
async def test_an_unknown_dtype_is_refused(models: Path, arguments: list[str]) -> None:
    with pytest.raises(EngineFailed, match="dtype 'int3' is none of"):
        await embedded_planner(models)(InferenceUp(model="pivot/tiny-random", dtype="int3", additional_args=arguments))


async def test_m_item32_the_pinned_revision_is_served(models: Path, tmp_path: Path) -> None:
    put_into_cache(models / "tiny-random", tmp_path, "pivot/tiny-random", REVISION)
    found = await command(models, "--revision", REVISION, caches=(tmp_path,))
    assert found[found.index("--model") + 1].endswith(f"snapshots/{REVISION}")
    with pytest.raises(ModelMissing, match=f"at {'0' * 40} is not on this node"):
        await command(models, "--revision", "0" * 40, caches=(tmp_path,))


async def test_a_model_that_cannot_be_loaded_is_refused_with_the_engines_words(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"architectures": ["OtherForCausalLM"]}')
    engine = ServingEngine(session, embedded_planner(tmp_path), LOOPBACK, free_port())
    with pytest.raises(EngineFailed, match=r"exit code 1: the embedded engine runs Qwen2ForCausalLM, not \['Other"):
        await engine.start(InferenceUp(model="pivot/broken"))
    assert not engine.alive
