"""`pivot models …` against a hub in this process that has the few routes which the library asks for."""

import fcntl
import hashlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from huggingface_hub import constants

from pivot.cli import hub as hub_module
from pivot.mlnode.model_cache import require_model
from tests.cli.conftest import Pivot

MODEL = "Qwen/Tiny-Instruct"
REVISION = "c0ffee" + "0" * 34
FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 4_000, "tokenizer.json": b'{"a": 1}'}


@dataclass
class Hub:
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    broken: set[str] = field(default_factory=set)
    """Files that are answered with 500."""
    breaks: set[str] = field(default_factory=set)
    """Files whose transfer breaks off half way."""
    ranges: bool = True
    """Whether a part of a file can be asked for."""
    fetched: list[str] = field(default_factory=list)
    begun_at: dict[str, int] = field(default_factory=dict)
    """Where the last transfer of each file that was not from its beginning began."""

    async def revision(self, request: web.Request) -> web.Response:
        name, revision = request.match_info["name"], request.match_info["revision"]
        if name != MODEL:
            return web.json_response({"error": "no"}, status=404, headers={"X-Error-Code": "RepoNotFound"})
        if revision not in {"main", REVISION}:
            return web.json_response({"error": "no"}, status=404, headers={"X-Error-Code": "RevisionNotFound"})
        siblings = [{"rfilename": name} for name in self.files]
        return web.json_response({"id": MODEL, "sha": REVISION, "siblings": siblings})

    async def tree(self, _: web.Request) -> web.Response:
        return web.json_response(
            [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha256(data).hexdigest()[:40]}
                for name, data in self.files.items()
            ]
        )

    async def file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["file"]
        data = self.files[name]
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": REVISION}
        if request.method != "GET":
            return web.Response(body=data, headers=headers)
        if name in self.broken:
            return web.Response(status=500)
        if name in self.breaks:
            return await self._half(request, data, headers)
        self.fetched.append(name)
        begin = request.http_range.start or 0
        if not begin or not self.ranges:
            return web.Response(body=data, headers=headers)
        self.begun_at[name] = begin
        span = {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"}
        return web.Response(status=206, body=data[begin:], headers=headers | span)

    async def _half(self, request: web.Request, data: bytes, headers: dict[str, str]) -> web.StreamResponse:
        """Half of the file, and then the connection breaks; after that the hub is down."""
        self.broken.add(request.match_info["file"])
        answer = web.StreamResponse(headers=headers | {"Content-Length": str(len(data))})
        await answer.prepare(request)
        await answer.write(data[: len(data) // 2])
        assert request.transport is not None
        request.transport.close()
        return answer


@pytest.fixture
async def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Hub]:
    hub = Hub()
    app = web.Application()
    app.router.add_get("/api/models/{name:.+}/revision/{revision}", hub.revision)
    app.router.add_get("/api/models/{name:.+}/tree/{revision}", hub.tree)
    app.router.add_get("/{name:[^/]+/[^/]+}/resolve/{revision}/{file:.+}", hub.file)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    for name in ("HF_HUB_CACHE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    yield hub
    await runner.cleanup()


async def test_a_model_is_pulled_as_the_guide_downloads_it_and_found_by_an_ml_node(
    pivot: Pivot, hub: Hub, tmp_path: Path
) -> None:
    home = tmp_path / "hf"
    told = await pivot("models", "pull", MODEL, "--cache-dir", str(home), "--json")
    assert told.code == 0, told.err
    folder = Path(told.json["folder"])
    assert folder == home / "models--Qwen--Tiny-Instruct" / "snapshots" / REVISION
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert require_model(MODEL, tmp_path / "own", [home / "hub", home]).folder == folder
    [listed] = (await pivot("models", "list", "--json")).json
    assert (listed["repository"], listed["revision"], listed["missing"]) == (MODEL, REVISION, [])
    assert listed["size_bytes"] == sum(map(len, FILES.values()))


async def test_without_a_folder_it_goes_where_the_library_looks(pivot: Pivot, hub: Hub, tmp_path: Path) -> None:
    assert (await pivot("models", "pull", MODEL)).code == 0
    assert (tmp_path / "hf" / "hub" / "models--Qwen--Tiny-Instruct").is_dir()
    shown = (await pivot("models", "list")).out
    assert shown.startswith(f"{MODEL}  {REVISION[:12]}  0.0 GB  whole  ")


async def test_a_second_pull_goes_on_where_the_first_ended(pivot: Pivot, hub: Hub) -> None:
    hub.broken = {"model.safetensors"}
    told = await pivot("models", "pull", MODEL)
    assert (told.code, "the same command goes on where it ended" in told.err) == (1, True), told.err
    assert "not whole: *.safetensors is missing" in (await pivot("models", "list")).out
    first = sorted(hub.fetched)
    hub.broken.clear()
    assert (await pivot("models", "pull", MODEL)).code == 0
    assert sorted(hub.fetched) == sorted({*FILES})
    assert "model.safetensors" not in first
    assert (await pivot("models", "pull", MODEL)).code == 0
    assert len(hub.fetched) == len(FILES)


@pytest.fixture
def _small_files_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "RESUMED_FROM_BYTES", 2**16)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 2**14)


@pytest.mark.usefixtures("_small_files_are_large")
@pytest.mark.parametrize("ranges", [True, False])
async def test_a_file_of_which_half_has_come_is_gone_on_with(
    pivot: Pivot, hub: Hub, tmp_path: Path, ranges: bool
) -> None:
    weights, hub.ranges = FILES["model.safetensors"], ranges
    hub.breaks = {"model.safetensors"}
    told = await pivot("models", "pull", MODEL)
    assert (told.code, "the same command goes on where it ended" in told.err) == (1, True), told.err
    [partial] = (tmp_path / "hf/hub/models--Qwen--Tiny-Instruct/blobs").glob("*.partial")
    have = partial.stat().st_size
    assert 0 < have <= len(weights) // 2
    assert weights.startswith(partial.read_bytes())
    assert "not whole: *.safetensors is missing" in (await pivot("models", "list")).out

    hub.breaks, hub.broken = set(), set()
    told = await pivot("models", "pull", MODEL, "--json")
    assert told.code == 0, told.err
    assert (Path(told.json["folder"]) / "model.safetensors").read_bytes() == weights
    assert hub.begun_at == ({"model.safetensors": have} if ranges else {})
    assert hub.fetched.count("model.safetensors") == 1
    assert not partial.exists()
    assert not [blob for blob in partial.parent.iterdir() if blob.suffix]


@pytest.mark.usefixtures("_small_files_are_large")
async def test_room_is_needed_only_for_what_has_not_come(
    pivot: Pivot, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    size = len(FILES["model.safetensors"])
    blobs = tmp_path / "hf/hub/models--Qwen--Tiny-Instruct/blobs"
    blobs.mkdir(parents=True)
    digest = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    (blobs / f"{digest}.partial").write_bytes(FILES["model.safetensors"][: size - 100])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=hub_module.ROOM_LEFT_BYTES + 1_000))
    assert (await pivot("models", "pull", MODEL)).code == 0
    assert hub.begun_at == {"model.safetensors": size - 100}


@pytest.mark.usefixtures("_small_files_are_large")
async def test_another_content_than_the_hubs_is_thrown_away(pivot: Pivot, hub: Hub, tmp_path: Path) -> None:
    blobs = tmp_path / "hf/hub/models--Qwen--Tiny-Instruct/blobs"
    blobs.mkdir(parents=True)
    digest = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    (blobs / f"{digest}.partial").write_bytes(b"damaged on the disk")
    told = await pivot("models", "pull", MODEL)
    assert (told.code, "another SHA-256" in told.err) == (1, True), told.err
    assert not list(blobs.glob("*model*")) + list(blobs.glob("*.partial"))
    assert (await pivot("models", "pull", MODEL)).code == 0


@pytest.mark.usefixtures("_small_files_are_large")
async def test_two_downloads_of_a_file_at_a_time_are_refused(pivot: Pivot, hub: Hub, tmp_path: Path) -> None:
    blobs = tmp_path / "hf/hub/models--Qwen--Tiny-Instruct/blobs"
    blobs.mkdir(parents=True)
    digest = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    with (blobs / f"{digest}.partial").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        told = await pivot("models", "pull", MODEL)
    assert (told.code, "another process fetches" in told.err) == (1, True), told.err


async def test_a_full_disk_is_told_before_anything_is_fetched(
    pivot: Pivot, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**29))
    told = await pivot("models", "pull", MODEL)
    assert (told.code, "0.5 GiB free: make room" in told.err) == (1, True)
    assert not hub.fetched


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("Qwen/Nonesuch",), "shows no model 'Qwen/Nonesuch'"),
        ((MODEL, "--revision", "nonesuch"), "has no revision 'nonesuch'"),
        (("../etc",), "is no name of a model"),
        ((MODEL, "--cache-dir", "/proc/nonesuch"), "/proc/nonesuch"),
    ],
)
async def test_what_cannot_be_pulled_is_told_in_a_sentence(
    pivot: Pivot, hub: Hub, arguments: tuple[str, ...], sentence: str
) -> None:
    told = await pivot("models", "pull", *arguments)
    assert (told.code, told.out, sentence in told.err) == (1, "", True), told.err


async def test_a_hub_that_does_not_answer_is_told(pivot: Pivot, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    told = await pivot("models", "pull", MODEL)
    assert (told.code, told.err.startswith("http://127.0.0.1:1 did not give the model: ")) == (1, True), told.err


async def test_a_model_without_weights_that_we_know_is_told(pivot: Pivot, hub: Hub) -> None:
    del hub.files["model.safetensors"]
    told = await pivot("models", "pull", MODEL)
    assert (told.code, "came without *.safetensors" in told.err) == (1, True)


async def test_no_models_are_told(pivot: Pivot, tmp_path: Path) -> None:
    told = await pivot("models", "list", "--cache-dir", str(tmp_path))
    assert (told.code, told.out, "There are no models" in told.err) == (0, "", True)
