from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pivot.mlnode.devices import Device, DriverBroken
from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.engines.choice import planner
from pivot.mlnode.engines.plan import Plan
from pivot.mlnode.engines.vllm import engine as engine_module
from pivot.mlnode.engines.vllm.engine import version_in, vllm_planner
from pivot.mlnode.model_cache import ModelMissing
from pivot.mlnode.settings import MlNodeSettings
from pivot.protocol.mlnode_api import InferenceUp
from tests.mlnode.engines.kinds import FAKE, FAKE_VLLM, devices, no_devices
from tests.mlnode.engines.tiny import make_model, put_into_cache

QWQ = "Qwen/QwQ-32B"
REVISION = "0123456789abcdef0123456789abcdef01234567"
PORT = 5001


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FAKE.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def cache(tmp_path: Path, models: Path) -> Path:
    """A cache with one revision of QwQ."""
    put_into_cache(models / "tiny-random", tmp_path / "cache", QWQ, REVISION)
    return tmp_path / "cache"


async def plan(cache: Path, *arguments: str, gpus: int = 0, model: str = QWQ) -> Plan:
    own = cache.parent / "own"
    return await vllm_planner(sys.executable, own, [cache], devices(gpus))(
        InferenceUp(model=model, additional_args=list(arguments))
    )


def arguments_of(command: Sequence[str]) -> list[str]:
    return list(command[list(command).index("vllm.entrypoints.openai.api_server") + 1 :])


async def test_a_server_is_started_as_the_published_node_does_but_on_loopback(cache: Path) -> None:
    [instance] = (await plan(cache, "--quantization", "fp8", "--kv-cache-dtype=fp8", "--max-num-seqs=8")).instances
    command = instance.command(PORT)
    assert list(command[:5]) == [sys.executable, "-m", "pivot.mlnode.training.tether", sys.executable, "-m"]
    assert arguments_of(command) == [
        *("--model", QWQ, "--revision", REVISION, "--host", "127.0.0.1", "--port", str(PORT), "--dtype", "float16"),
        *("--quantization", "fp8", "--kv-cache-dtype", "fp8", "--max-num-seqs", "8", "--disable-uvicorn-access-log"),
    ]


async def test_m_item32_the_pinned_revision_is_served_and_no_other(cache: Path, models: Path) -> None:
    other = "f" * 40
    put_into_cache(models / "tiny-random", cache, QWQ, other)
    for revision in (REVISION, other):
        [instance] = (await plan(cache, "--revision", revision)).instances
        assert arguments_of(instance.command(PORT))[:4] == ["--model", QWQ, "--revision", revision]
        assert instance.environment["HF_HUB_OFFLINE"] == "1"
        assert instance.environment["HF_HUB_CACHE"] == str(cache)
    missing = "a" * 40
    with pytest.raises(
        ModelMissing, match=rf"at {missing} .* `pivot models pull {QWQ} .* --revision {missing}` fetches"
    ):
        await plan(cache, "--revision", missing)
    make_model(cache.parent / "own" / "QwQ-32B")  # of which nobody knows the revision
    with pytest.raises(ModelMissing):
        await plan(cache, "--revision", missing)


async def test_the_operators_own_folder_is_served_under_the_models_name(cache: Path) -> None:
    own = make_model(cache.parent / "own" / "QwQ-32B")
    [instance] = (await plan(cache)).instances
    assert arguments_of(instance.command(PORT))[:4] == ["--model", str(own), "--served-model-name", QWQ]


async def test_the_registrations_dtype_counts(cache: Path) -> None:
    [instance] = (await plan(cache, "--dtype", "bfloat16")).instances
    arguments = arguments_of(instance.command(PORT))
    assert arguments[arguments.index("--dtype") + 1] == "bfloat16"
    assert arguments.count("--dtype") == 1


@pytest.mark.parametrize(
    "sizes",
    [
        ["--tensor-parallel-size", "2"],
        ["--tensor-parallel-size=2"],
        ["-tp", "2"],
        ["--pipeline_parallel_size", "2"],
        ["-pp=2"],
    ],
)
async def test_m11_instances_fill_the_devices_in_groups(
    cache: Path, monkeypatch: pytest.MonkeyPatch, sizes: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,4,2,1,0")
    found = await plan(cache, *sizes, gpus=8)
    assert [instance.devices for instance in found.instances] == [("6", "4"), ("2", "1")]
    assert [instance.environment["CUDA_VISIBLE_DEVICES"] for instance in found.instances] == ["6,4", "2,1"]
    assert {instance.environment["CUDA_DEVICE_ORDER"] for instance in found.instances} == {"PCI_BUS_ID"}
    assert {instance.environment["VLLM_USE_FLASHINFER_SAMPLER"] for instance in found.instances} == {"0"}
    assert found.unused_devices == ("0",)


async def test_both_sizes_make_a_group(cache: Path) -> None:
    found = await plan(cache, "-tp", "2", "-pp", "2", gpus=8)
    assert [instance.devices for instance in found.instances] == [("0", "1", "2", "3"), ("4", "5", "6", "7")]


async def test_on_a_cpu_there_is_one_instance(cache: Path) -> None:
    [instance] = (await plan(cache)).instances
    assert instance.devices == ()
    assert "CUDA_VISIBLE_DEVICES" not in instance.environment


async def test_without_vllm_the_sentence_says_what_to_install(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    with pytest.raises(
        EngineFailed, match=r"needs vLLM 0.32 or later, and .* has none: install it .* MLNODE_VLLM_PYTHON"
    ):
        await plan(cache)
    with pytest.raises(EngineFailed, match=r"/no/python cannot be run \(No such file or directory\)"):
        await vllm_planner("/no/python", cache.parent, [cache], no_devices)(InferenceUp(model=QWQ))


async def test_an_old_vllm_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "OLDEST", (0, 33))
    with pytest.raises(EngineFailed, match=r"needs vLLM 0.33 or later, and .* has 0\.32"):
        await plan(cache)


def test_the_release_is_read_from_the_packages_files(tmp_path: Path) -> None:
    assert version_in(FAKE_VLLM / "vllm") == (0, 32)
    assert version_in(tmp_path) is None
    (tmp_path / "_version.py").write_text("version: str\n__version__ = version = '0.33.1rc2.dev3+g123'\n")
    assert version_in(tmp_path) == (0, 33)


async def test_a_broken_driver_is_a_sentence(cache: Path) -> None:
    async def broken() -> list[Device]:
        raise DriverBroken("nvidia-smi fails: no reason")

    with pytest.raises(EngineFailed, match="devices cannot be told: nvidia-smi fails"):
        await vllm_planner(sys.executable, cache.parent, [cache], broken)(InferenceUp(model=QWQ))


async def test_sizes_must_be_plain_numbers(cache: Path) -> None:
    with pytest.raises(EngineFailed, match="must be whole numbers"):
        await plan(cache, "-tp", "2k")


@pytest.mark.parametrize(
    ("engine", "model", "served_by"),
    [
        ("auto", "pivot/tiny-random", "pivot.mlnode.engines.embedded"),
        ("auto", "tests/tiny-random", "vllm.entrypoints.openai.api_server"),
        ("vllm", "pivot/tiny-random", "vllm.entrypoints.openai.api_server"),
        ("embedded", "tests/tiny-random", "pivot.mlnode.engines.embedded"),
    ],
)
async def test_the_model_or_a_setting_decides_on_the_engine(
    models: Path, monkeypatch: pytest.MonkeyPatch, engine: str, model: str, served_by: str
) -> None:
    monkeypatch.setenv("MLNODE_ENGINE", engine)
    settings = MlNodeSettings(models_dir=models)
    [instance] = (await planner(settings)(InferenceUp(model=model))).instances
    assert served_by in instance.command(PORT)
