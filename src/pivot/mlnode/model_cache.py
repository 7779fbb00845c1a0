"""Models on this machine's disk: the operator's own folder, then Hugging Face caches. Only reads, so a cache may be read-only.

A cache holds `models--{org}--{name}/snapshots/{revision}/…`, whose files are links into `blobs/`, and `refs/{branch}` with the
revision that a branch stands for. `huggingface-cli download --cache-dir $HF_HOME` puts that into `$HF_HOME` itself, the library
left alone into `$HF_HOME/hub`: both are looked at, and `HF_HUB_CACHE` before them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pivot.mlnode.engines.base import EngineFailed

FOLDER_PREFIX = "models--"
SEPARATOR = "--"
DEFAULT_BRANCH = "main"
GIB = 2**30
CONFIG_FILE = "config.json"
WEIGHTS_SUFFIX = ".safetensors"
INDEX_FILE = "model.safetensors.index.json"
"""Says which file holds which tensor, where the weights are in several."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_MODEL_ID = re.compile(rf"(?:{_NAME}/)?{_NAME}")


class ModelMissing(EngineFailed):
    """The model is not on this machine, or not whole; the sentence says how to fetch it."""


@dataclass(frozen=True)
class CachedModel:
    """One revision of a model in a cache."""

    repository: str
    revision: str
    folder: Path
    size_bytes: int
    missing: tuple[str, ...]
    """Files that belong to it and are not there (yet)."""

    @property
    def cache(self) -> Path:
        """The cache that holds it, if it has a revision."""
        return self.folder.parents[2]

    @property
    def weights_bytes(self) -> int:
        """Size of its weights."""
        return sum(path.stat().st_size for path in self.folder.glob(f"*{WEIGHTS_SUFFIX}"))


def cache_folders(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Where Hugging Face caches may be, in the order in which they are searched."""
    folders = [Path(environment["HF_HUB_CACHE"])] if environment.get("HF_HUB_CACHE") else []
    if home := environment.get("HF_HOME"):
        folders += [Path(home) / "hub", Path(home)]
    elif not folders:
        cache = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "/")) / ".cache"
        folders.append(Path(cache) / "huggingface" / "hub")
    return tuple(dict.fromkeys(folders))


def is_model_id(model: str) -> bool:
    """Whether this can be the name of a model: `name` or `org/name`."""
    return _MODEL_ID.fullmatch(model) is not None and SEPARATOR not in model and ".." not in model


def require_model(model: str, own: Path, caches: Sequence[Path], revision: str = "") -> CachedModel:
    """A model that is whole: in `own/{name}`, else its newest snapshot in the caches. Raises ModelMissing.

    revision: a commit, or a branch as the cache knows it; then nothing else will do, and the operator's own folder,
    of which nobody knows the revision, is not looked at.
    """
    if not is_model_id(model):
        raise ModelMissing(f"model {model!r} is no name of a model, such as Qwen/Qwen2.5-7B-Instruct")
    folder = own / model.rpartition("/")[2]
    if not revision and (folder / CONFIG_FILE).is_file():
        return _described(model, "", folder)
    found = [cached for cache in caches for cached in _snapshots(cache, model) if _is_of(cached, revision)]
    for cached in found:
        if not cached.missing:
            return cached
    named = f"model {model!r} at {revision}" if revision else f"model {model!r}"
    fetch = _how_to_fetch(model, caches, revision)
    if found:
        raise ModelMissing(f"{named} is not whole on this node: {found[0].missing[0]} is missing; {fetch}")
    places = ", ".join(map(str, caches if revision else (own, *caches)))
    raise ModelMissing(f"{named} is not on this node (searched: {places}); {fetch}")


def cached_models(caches: Iterable[Path]) -> list[CachedModel]:
    """All snapshots of all models, by name; of each model the one that is used first."""
    return [
        cached
        for cache in caches
        for folder in sorted(_subfolders(cache))
        if folder.name.startswith(FOLDER_PREFIX)
        for cached in _snapshots(cache, folder.name.removeprefix(FOLDER_PREFIX).replace(SEPARATOR, "/"))
    ]


def held_models(own: Path, caches: Iterable[Path]) -> list[CachedModel]:
    """All models of this machine: those of the operator's own folder, which have no revision, then those of the caches."""
    folders = [folder for folder in sorted(_subfolders(own)) if (folder / CONFIG_FILE).is_file()]
    return [_described(folder.name, "", folder) for folder in folders] + cached_models(caches)


def _is_of(cached: CachedModel, revision: str) -> bool:
    if not revision or cached.revision == revision:
        return True
    reference = cached.folder.parents[1] / "refs" / revision
    return reference.is_file() and reference.read_text().strip() == cached.revision


def _how_to_fetch(model: str, caches: Sequence[Path], revision: str) -> str:
    place = caches[0] if caches else "$HF_HOME"
    pinned = f" --revision {revision}" if revision else ""
    command = f"`pivot models pull {model} --cache-dir {place}{pinned}` fetches it"
    existing = next((folder for cache in caches[:1] for folder in (cache, *cache.parents) if folder.is_dir()), None)
    return f"{command} ({shutil.disk_usage(existing).free / GIB:.1f} GiB are free there)" if existing else command


def _snapshots(cache: Path, repository: str) -> Iterator[CachedModel]:
    """The snapshots of a model: that of its main branch, then the others, newest first."""
    place = cache / (FOLDER_PREFIX + repository.replace("/", SEPARATOR))
    reference = place / "refs" / DEFAULT_BRANCH
    main = reference.read_text().strip() if reference.is_file() else ""
    folders = sorted(
        _subfolders(place / "snapshots"),
        key=lambda folder: (folder.name == main, folder.stat().st_mtime_ns),
        reverse=True,
    )
    for folder in folders:
        yield _described(repository, folder.name, folder)


def _described(repository: str, revision: str, folder: Path) -> CachedModel:
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return CachedModel(repository, revision, folder, size, tuple(_missing(folder)))


def _missing(folder: Path) -> Iterator[str]:
    """Names of files without which the model cannot be served."""
    if not (folder / CONFIG_FILE).is_file():
        yield CONFIG_FILE
    needed = _files_of_index(folder / INDEX_FILE)
    if not needed and not any(path.is_file() for path in folder.glob(f"*{WEIGHTS_SUFFIX}")):
        yield f"*{WEIGHTS_SUFFIX}"
    yield from (name for name in needed if not (folder / name).is_file())


def _files_of_index(index: Path) -> list[str]:
    if not index.is_file():
        return []
    try:
        return sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        return [INDEX_FILE + " (damaged)"]


def _subfolders(folder: Path) -> list[Path]:
    """What cannot be read is as if it were not there: a mount may be gone."""
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []
