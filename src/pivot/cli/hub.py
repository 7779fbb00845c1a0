"""Fetching a model from the Hugging Face hub into a cache, whole or with a sentence that says why not."""

import logging
import os
from collections.abc import Callable
from errno import EACCES, EDQUOT, ENOENT, ENOSPC, ENOTDIR, EROFS
from pathlib import Path
from typing import Any

from pivot.cli.hub_files import RESUMED_FROM_BYTES, large_files
from pivot.cli.output import CommandFailed
from pivot.mlnode.model_cache import is_model_id
from pivot.node.disk import free_bytes

DEFAULT_ENDPOINT = "https://huggingface.co"
ROOM_LEFT_BYTES = 2**30
"""So much must stay free on the disk."""
GIB = 2**30


def pull(repository: str, cache: Path, revision: str, say: Callable[[str], None]) -> Path:
    """Fetch what is not in the cache yet. Returns the folder of the snapshot. Raises CommandFailed.

    What is here is not fetched again, so an interrupted download goes on where it ended.
    """
    # the library takes half a second to import, and only this command needs it
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import (  # noqa: PLC0415
        DryRunError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # what matters is told here, in a sentence
    if not is_model_id(repository):
        raise CommandFailed(f"{repository!r} is no name of a model, such as Qwen/Qwen2.5-7B-Instruct")
    endpoint = os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT
    place: dict[str, Any] = {"repo_id": repository, "revision": revision, "cache_dir": cache, "endpoint": endpoint}
    try:
        cache.mkdir(parents=True, exist_ok=True)
        planned = snapshot_download(**place, dry_run=True)
        missing = {file.filename: file.file_size or 0 for file in planned if file.will_download}
        names = [name for name, size in missing.items() if size >= RESUMED_FROM_BYTES]
        large = large_files(repository, planned[0].commit_hash, names, cache, endpoint)
        needed = sum(missing.values()) - sum(file.fetched_bytes for file in large)
        require_room(repository, cache, needed)
        say(f"{repository} at {planned[0].commit_hash}: {needed / GIB:.1f} GiB to fetch into {cache}")
        if large:
            snapshot_download(**place, ignore_patterns=names)
            for file in large:
                file.fetch()
        return Path(snapshot_download(**place))
    except HFValidationError as error:
        raise CommandFailed(f"{repository!r} is no name of a model: {error}") from error
    except OSError as error:  # the library's own errors among them, some only as the cause
        told = error.__cause__ if isinstance(error, DryRunError) and error.__cause__ else error
        if isinstance(told, RevisionNotFoundError):
            raise CommandFailed(f"{repository} has no revision {revision!r} (--revision)") from error
        if isinstance(told, RepositoryNotFoundError):
            raise CommandFailed(
                f"{endpoint} shows no model {repository!r}: check the name; "
                "for one with terms, accept them there and set HF_TOKEN"
            ) from error
        raise CommandFailed(_sentence(told, endpoint, cache)) from error


def require_room(repository: str, cache: Path, needed: int) -> None:
    """Raises CommandFailed when the disk of the cache cannot hold so many bytes more."""
    free = free_bytes(cache)
    if needed and free < needed + ROOM_LEFT_BYTES:
        raise CommandFailed(
            f"{repository} needs {needed / GIB:.1f} GiB more and 1 GiB to spare, and the disk of {cache} has "
            f"{free / GIB:.1f} GiB free: make room, or choose another folder with --cache-dir"
        )


def _sentence(cause: BaseException, endpoint: str, cache: Path) -> str:
    number = getattr(cause, "errno", None)
    if number in {ENOSPC, EDQUOT}:
        return f"the disk of {cache} is full; what was fetched stays, and the same command goes on from there"
    if number in {EACCES, EROFS, ENOENT, ENOTDIR}:
        return f"{cache} cannot be written to: choose another folder with --cache-dir"
    why = str(cause).partition("\n")[0] or type(cause).__name__
    return f"{endpoint} did not give the model: {why}; the same command goes on where it ended"
