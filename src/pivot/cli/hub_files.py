"""Large files of a model, fetched so that a download that broke off goes on in the midst of a file.

The library puts every file that it has begun away again when it is cut short, and a file of weights has gigabytes. So these are
fetched here, into the place in the cache where the library then finds them whole.
"""

import fcntl
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

RESUMED_FROM_BYTES = 16 * 2**20
"""A smaller file is begun anew by the library."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class LargeFile:
    """A file that is not in the cache yet, or only its beginning."""

    url: str
    size_bytes: int
    blob: Path
    """Where the library looks for its content; the name is the hub's tag of it."""

    @property
    def partial(self) -> Path:
        return self.blob.with_name(f"{self.blob.name}.partial")

    @property
    def fetched_bytes(self) -> int:
        """How much of it is here from an earlier download."""
        return self.partial.stat().st_size if self.partial.exists() else 0

    def fetch(self) -> None:
        """Fetch what is missing. Raises OSError, also when another process is at it, or the content is not the hub's."""
        self.blob.parent.mkdir(parents=True, exist_ok=True)
        with self.partial.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OSError(f"another process fetches {self.blob.name} at the moment") from None
            _append(self.url, file, self.size_bytes)
        if _SHA256.fullmatch(self.blob.name) and _sha256(self.partial) != self.blob.name:
            self.partial.unlink()
            raise OSError(f"what came has another SHA-256 than {self.blob.name}, and was thrown away")
        self.partial.replace(self.blob)


def large_files(repository: str, revision: str, names: Iterable[str], cache: Path, endpoint: str) -> list[LargeFile]:
    """Those of the named files that are worth it; the hub is asked for each. Raises OSError."""
    from huggingface_hub.file_download import (  # noqa: PLC0415  it takes half a second to import
        get_hf_file_metadata,
        hf_hub_url,
        repo_folder_name,
    )

    blobs = cache / repo_folder_name(repo_id=repository, repo_type="model") / "blobs"
    found = []
    for name in names:
        url = hf_hub_url(repository, name, revision=revision, endpoint=endpoint)
        told = get_hf_file_metadata(url, endpoint=endpoint)
        if told.etag and told.size and re.fullmatch(r"[\w-]+", told.etag):
            found.append(LargeFile(url, told.size, blobs / told.etag))
    return list({file.blob: file for file in found}.values())


def _append(url: str, file: BinaryIO, size_bytes: int) -> None:
    """Fetch from where the file ends."""
    from huggingface_hub import get_token  # noqa: PLC0415
    from huggingface_hub.file_download import http_get  # noqa: PLC0415

    token = get_token()
    headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {token}"} if token else {})}
    try:
        http_get(url, file, resume_size=file.tell(), headers=headers, expected_size=size_bytes)
    except OSError:
        raise
    except Exception as error:  # its transport has errors of its own
        raise OSError(str(error) or type(error).__name__) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
