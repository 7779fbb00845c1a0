"""Lines as vLLM 0.32 writes them."""

from __future__ import annotations

import pytest

from pivot.mlnode.engines.vllm.progress import SIGNS, stage_of

LINES = [
    (
        "(APIServer pid=1) INFO 11-26 00:33:36 [model.py:733] Resolved architecture: Qwen2ForCausalLM",
        "reading the model's configuration",
    ),
    (
        "(EngineCore pid=2) INFO 11-26 00:33:54 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: x",
        "starting the engine's processes",
    ),
    (
        "(Worker pid=3) INFO 11-26 00:34:21 [gpu_model_runner.py:68] Starting to load model Qwen/QwQ-32B...",
        "loading weights",
    ),
    (
        "(Worker pid=3) Loading safetensors checkpoint shards:   0% Completed | 0/14 [00:00<?, ?it/s]",
        "loading weights, shard 0 of 14",
    ),
    (
        "Loading safetensors checkpoint shards:  50% Completed | 7/14 [00:00<00:00, 79.33it/s]",
        "loading weights, shard 7 of 14",
    ),
    ("Multi-thread loading shards:  93% Completed | 13/14 [00:00<00:00, 9.33it/s]", "loading weights, shard 13 of 14"),
    (
        "(Worker pid=3) INFO 11-26 00:34:22 [default_loader.py:501] Loading weights took 0.02 seconds",
        "weights are loaded",
    ),
    ("(Worker pid=3) INFO 11-26 00:34:30 [backends.py:1167] Dynamo bytecode transform time: 5.11 s", "compiling"),
    (
        "(EngineCore pid=2) INFO 11-26 00:34:24 [kv_cache_utils.py:2327] GPU KV cache size: 262,144 tokens",
        "reserving the key-value cache",
    ),
    ("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  50%|██████ | 30/60 [00:01]", "capturing graphs, 50 %"),
    (
        "(Worker pid=3) INFO 11-26 00:34:40 [gpu_model_runner.py:6582] Graph capturing finished in 5 secs, took 0.5 GiB",
        "graphs are captured",
    ),
    (
        "(APIServer pid=1) INFO 11-26 00:34:31 [entry.py:140] Starting vLLM server on http://127.0.0.1:5901",
        "opening its port",
    ),
]


@pytest.mark.parametrize(("line", "text"), LINES)
def test_a_line_tells_the_stage(line: str, text: str) -> None:
    stage = stage_of(line)
    assert stage
    assert stage.text == text


def test_progress_grows_with_the_log() -> None:
    shares = [stage.progress for line, _ in LINES if (stage := stage_of(line))]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] < 1
    assert all(0 < sign.begins <= sign.ends < 1 for sign in SIGNS)


@pytest.mark.parametrize(
    "line", ["", "INFO: Application startup complete.", "Loading safetensors checkpoint shards: x"]
)
def test_other_lines_tell_nothing(line: str) -> None:
    assert stage_of(line) is None
