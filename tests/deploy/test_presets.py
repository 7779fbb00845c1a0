"""The node-config presets: the API node's loader and its Admin API take them, with arguments that fit each layout of GPUs."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.api.fleet.arguments import combine
from pivot.api.fleet.fleet import parse_node_config
from pivot.api.http.admin import admin_app
from pivot.protocol.generated.inference.inference.types_pb2 import Model
from tests.api.fleet.chain import FakeChain, FakePhases
from tests.api.fleet.ml_node import FakeMlNode
from tests.api.poc.host import host
from tests.api.serving import serving
from tests.deploy.compose import DEPLOY

PRESETS = sorted((DEPLOY / "join").glob("node-config*.json"))
SEVEN_B, QWQ = "Qwen/Qwen2.5-7B-Instruct", "Qwen/QwQ-32B"
FP8 = ["--quantization", "fp8"]
FP8_CACHE = [*FP8, "--kv-cache-dtype", "fp8"]


def test_there_are_the_published_presets_and_an_empty_one() -> None:
    assert [path.name for path in PRESETS] == [
        "node-config-8x3080.json",
        "node-config-none.json",
        "node-config-qwq-4x3090.json",
        "node-config-qwq-8x3090.json",
        "node-config-qwq.json",
        "node-config.json",
    ]


@pytest.mark.parametrize(
    ("name", "model", "arguments", "gpus"),
    [
        ("node-config.json", SEVEN_B, FP8, 1),
        ("node-config-qwq.json", QWQ, FP8_CACHE, 1),
        ("node-config-qwq-4x3090.json", QWQ, FP8_CACHE, 4),
        ("node-config-qwq-8x3090.json", QWQ, FP8_CACHE, 8),
        ("node-config-8x3080.json", SEVEN_B, FP8, 4),
    ],
)
def test_a_preset_declares_the_inference_service_with_its_model(
    name: str, model: str, arguments: list[str], gpus: int
) -> None:
    [node] = parse_node_config((DEPLOY / "join" / name).read_bytes())
    assert (node.management_url, node.inference_url) == ("http://inference:8080", "http://inference:5000")
    assert node.max_concurrent == 500
    [(found, declared)] = node.models.items()
    assert found == model
    assert list(combine(model, arguments, declared.args))[: len(arguments)] == arguments
    assert size(declared.args, "--tensor-parallel-size") * size(declared.args, "--pipeline-parallel-size") == gpus


def test_the_empty_preset_declares_nothing() -> None:
    assert parse_node_config((DEPLOY / "join" / "node-config-none.json").read_bytes()) == []


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.name)
def test_a_preset_ends_with_a_line_end(path: Path) -> None:
    assert path.read_text().endswith("]\n")


@pytest.mark.parametrize("preset", [pytest.param(json.loads(path.read_text()), id=path.name) for path in PRESETS])
async def test_the_admin_api_takes_a_preset_as_one_batch(preset: list[dict[str, Any]], tmp_path: Path) -> None:
    chain = FakeChain(models=[Model(id=SEVEN_B, model_args=FP8), Model(id=QWQ, model_args=FP8_CACHE)])
    async with (
        FakeMlNode.running() as inference,
        host(chain, FakePhases(chain), tmp_path) as one,
        serving(admin_app(one.settings, one.identity, chain, one.fleet)) as url,
        aiohttp.ClientSession() as http,
    ):
        here = {"host": "127.0.0.1", "inference_port": inference.port, "poc_port": inference.port}
        declared = [{**node, **here} for node in preset]
        async with http.post(f"{url}/admin/v1/nodes/batch", json=declared) as answer:
            taken = await answer.json()
            assert answer.status == 201, taken
        assert [{name: node[name] for name in asked} for node, asked in zip(taken, declared, strict=True)] == declared


def size(arguments: list[str], name: str) -> int:
    return int(arguments[arguments.index(name) + 1]) if name in arguments else 1
