import json
from pathlib import Path

import pytest

from pivot.mlnode.model_cache import ModelMissing, cache_folders, cached_models, is_model_id, require_model

QWEN = "Qwen/Qwen2.5-7B-Instruct"
REVISION = "a" * 40


def cached(cache: Path, *names: str, model: str = QWEN, revision: str = REVISION, main: bool = True) -> Path:
    """A snapshot as the library lays it down: links into `blobs`. Returns its folder."""
    place = cache / f"models--{model.replace('/', '--')}"
    folder = place / "snapshots" / revision
    for part in (place / "blobs", place / "refs", folder):
        part.mkdir(parents=True, exist_ok=True)
    if main:
        (place / "refs" / "main").write_text(revision)
    for number, name in enumerate(names):
        (place / "blobs" / f"{revision[:4]}{number}").write_text("{}")
        (folder / name).symlink_to(f"../../blobs/{revision[:4]}{number}")
    return folder


@pytest.mark.parametrize("place", ["hub", "."], ids=["the library's own", "--cache-dir $HF_HOME"])
def test_what_was_downloaded_into_hf_home_is_found(tmp_path: Path, place: str) -> None:
    folder = cached(tmp_path / place, "config.json", "model.safetensors")
    caches = cache_folders({"HF_HOME": str(tmp_path)})
    assert require_model(QWEN, tmp_path / "own", caches).folder.resolve() == folder.resolve()


def test_the_order_of_the_caches() -> None:
    assert cache_folders({"HF_HOME": "/h"}) == (Path("/h/hub"), Path("/h"))
    assert cache_folders({"HF_HOME": "/h", "HF_HUB_CACHE": "/c"}) == (Path("/c"), Path("/h/hub"), Path("/h"))
    assert cache_folders({"HF_HOME": "/h", "HF_HUB_CACHE": "/h"}) == (Path("/h"), Path("/h/hub"))
    assert cache_folders({"HF_HUB_CACHE": "/c"}) == (Path("/c"),)
    assert cache_folders({"HOME": "/root"}) == (Path("/root/.cache/huggingface/hub"),)
    assert cache_folders({"XDG_CACHE_HOME": "/x"}) == (Path("/x/huggingface/hub"),)


def test_the_operators_own_folder_comes_first(tmp_path: Path) -> None:
    own = tmp_path / "own" / "Qwen2.5-7B-Instruct"
    own.mkdir(parents=True)
    (own / "config.json").write_text("{}")
    cached(tmp_path, "config.json", "model.safetensors")
    assert require_model(QWEN, tmp_path / "own", [tmp_path]).folder == own
    assert require_model("Qwen2.5-7B-Instruct", tmp_path / "own", []).folder == own


def test_the_main_branch_comes_before_newer_snapshots(tmp_path: Path) -> None:
    main = cached(tmp_path, "config.json", "model.safetensors")
    newer = cached(tmp_path, "config.json", "model.safetensors", revision="b" * 40, main=False)
    assert require_model(QWEN, tmp_path / "own", [tmp_path]).folder == main
    (main / "config.json").unlink()
    assert require_model(QWEN, tmp_path / "own", [tmp_path]).folder == newer


def test_a_read_only_cache_serves(tmp_path: Path) -> None:
    folder = cached(tmp_path, "config.json", "model.safetensors")
    everything = [tmp_path, *tmp_path.rglob("*")]
    for path in everything:
        if path.is_dir():
            path.chmod(0o555)
    try:
        assert require_model(QWEN, tmp_path / "own", [tmp_path]).folder == folder
    finally:
        for path in everything:
            if path.is_dir():
                path.chmod(0o755)


def test_a_missing_model_is_told_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=f"`pivot models pull {QWEN} --cache-dir {tmp_path}` fetches it"):
        require_model(QWEN, tmp_path / "own", [tmp_path, tmp_path / "gone"])
    with pytest.raises(ModelMissing, match=r"--cache-dir \$HF_HOME` fetches it"):
        require_model(QWEN, tmp_path / "own", [])


def test_an_interrupted_download_is_no_model(tmp_path: Path) -> None:
    folder = cached(tmp_path, "config.json")
    with pytest.raises(ModelMissing, match=r"not whole on this node: \*\.safetensors is missing; `pivot models pull"):
        require_model(QWEN, tmp_path / "own", [tmp_path])
    weights = {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(weights))
    (folder / "model-1-of-2.safetensors").write_text("")
    with pytest.raises(ModelMissing, match=r"model-2-of-2\.safetensors is missing"):
        require_model(QWEN, tmp_path / "own", [tmp_path])
    (folder / "model-2-of-2.safetensors").symlink_to("../../blobs/not-there-yet")
    with pytest.raises(ModelMissing, match=r"model-2-of-2\.safetensors is missing"):
        require_model(QWEN, tmp_path / "own", [tmp_path])
    (folder / "model.safetensors.index.json").write_text("{")
    with pytest.raises(ModelMissing, match="damaged"):
        require_model(QWEN, tmp_path / "own", [tmp_path])


@pytest.mark.parametrize("model", ["", "../etc", "a/b/c", "a--b", "a/..", "/etc/passwd", "-x", "a b"])
def test_what_is_no_name_of_a_model_is_refused(model: str, tmp_path: Path) -> None:
    assert not is_model_id(model)
    with pytest.raises(ModelMissing, match="is no name of a model"):
        require_model(model, tmp_path, [tmp_path])


def test_all_models_of_the_caches(tmp_path: Path) -> None:
    cached(tmp_path / "one", "config.json", "model.safetensors")
    cached(tmp_path / "two", "config.json", model="gpt2")
    (tmp_path / "one" / "version.txt").write_text("1")
    (tmp_path / "one" / "datasets--a--b").mkdir()
    found = cached_models([tmp_path / "one", tmp_path / "two", tmp_path / "three"])
    assert [(each.repository, each.revision, each.size_bytes, each.missing) for each in found] == [
        (QWEN, REVISION, 4, ()),
        ("gpt2", REVISION, 2, ("*.safetensors",)),
    ]


def test_m_item32_a_revision_is_a_commit_or_a_branch_of_the_cache_and_nothing_else_will_do(tmp_path: Path) -> None:
    older = cached(tmp_path, "config.json", "model.safetensors", revision="b" * 40)
    main = cached(tmp_path, "config.json", "model.safetensors")
    own = tmp_path / "own" / "Qwen2.5-7B-Instruct"
    own.mkdir(parents=True)
    (own / "config.json").write_text("{}")
    for revision, folder in (("b" * 40, older), (REVISION, main), ("main", main)):
        found = require_model(QWEN, tmp_path / "own", [tmp_path], revision)
        assert (found.folder, found.cache, found.weights_bytes) == (folder, tmp_path, 2)
    fetch = (
        rf"`pivot models pull {QWEN} --cache-dir {tmp_path} --revision c+` fetches it \([0-9.]+ GiB are free there\)"
    )
    with pytest.raises(ModelMissing, match=rf"at c+ is not on this node \(searched: {tmp_path}\); {fetch}"):
        require_model(QWEN, tmp_path / "own", [tmp_path], "c" * 40)
    cached(tmp_path, "config.json", revision="d" * 40, main=False)
    with pytest.raises(ModelMissing, match=r"at d+ is not whole on this node: \*\.safetensors is missing"):
        require_model(QWEN, tmp_path / "own", [tmp_path], "d" * 40)
