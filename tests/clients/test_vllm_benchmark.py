"""vLLM's own benchmark client, unmodified, against a whole network, with an API key: chats, completions, embeddings."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pivot.mlnode.settings import REPOSITORY_MODELS
from tests.clients.pooling_network import VECTORS
from tests.e2e.network import Network

PYTHON = os.environ.get("MLNODE_VLLM_PYTHON", "")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.clients,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PYTHON, reason="MLNODE_VLLM_PYTHON names no interpreter with vLLM"),
]
REQUESTS = 8
INPUT_TOKENS, OUTPUT_TOKENS = 32, 12
RUN_TIMEOUT_SECONDS = 300
SCRIPT = Path(__file__).with_name("bench_vllm.py")


def benchmark(network: Network, folder: Path, backend: str, endpoint: str, *more: str, model: str = "") -> Any:
    """Its figures."""
    arguments = {
        "--backend": backend,
        "--endpoint": endpoint,
        "--base-url": network.hosts[0]["public_url"],
        "--header": f"Authorization=Bearer {network.api_key}",
        "--tokenizer": str(REPOSITORY_MODELS / "tiny-chat"),
        "--dataset-name": "random",
        "--random-input-len": str(INPUT_TOKENS),
        "--num-prompts": str(REQUESTS),
        "--max-concurrency": "4",
        "--result-dir": str(folder),
        "--result-filename": "figures.json",
    } | ({"--model": model} if model else {})
    done = subprocess.run(
        [PYTHON, str(SCRIPT), *(word for pair in arguments.items() for word in pair), "--save-result", *more],
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "figures.json").read_text())


@pytest.mark.parametrize(
    ("backend", "endpoint"), [("openai-chat", "/v1/chat/completions"), ("openai", "/v1/completions")]
)
@pytest.mark.parametrize("more", [(), ("--no-stream",)], ids=["stream", "whole"])
def test_every_request_succeeds_and_every_token_is_counted(
    two_hosts: Network, tmp_path: Path, backend: str, endpoint: str, more: tuple[str, ...]
) -> None:
    options = ("--random-output-len", str(OUTPUT_TOKENS), "--ignore-eos", "--temperature", "0", *more)
    figures = benchmark(two_hosts, tmp_path, backend, endpoint, *options)  # which model there is it asks for itself
    assert figures["model_id"] == two_hosts.model
    assert (figures["completed"], figures["failed"]) == (REQUESTS, 0)
    assert figures["total_output_tokens"] == REQUESTS * OUTPUT_TOKENS


def test_every_vector_is_had(pooling: Network, tmp_path: Path) -> None:
    figures = benchmark(pooling, tmp_path, "openai-embeddings", "/v1/embeddings", model=VECTORS)
    assert figures["completed"] == REQUESTS
    assert figures["total_input_tokens"] >= REQUESTS * INPUT_TOKENS
