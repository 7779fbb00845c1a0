"""Build the images of deploy/docker/Dockerfile from bases that are on this machine, with its way to the registries.

What the machine needs to reach them (certificates, pip's settings) is mounted while an image is built; nothing of it stays.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.deploy.compose import DEPLOY
from tests.deploy.podman import podman

VERSION = "0.1.0"
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs")
PIP_SETTINGS = Path("/etc/pip.conf")
IMAGES = {
    "node": f"pivot/node:{VERSION}",
    "tmkms": f"pivot/tmkms:{VERSION}",
    "api": f"pivot/api:{VERSION}",
    "mlnode-cpu": f"pivot/mlnode:{VERSION}-cpu",
}
"""Target to name, as in the compose files: what runs without a GPU."""
CUDA_IMAGE = {"mlnode-cuda": f"pivot/mlnode:{VERSION}-cuda"}
"""Gigabytes: built only where its variable asks for it."""
CUDA_VARIABLE = "PIVOT_TEST_CUDA_IMAGE"


def build_image(target: str) -> None:
    """Build one target; the layers that others share are built once."""
    with registries_within_reach() as mounts:
        podman(
            "build",
            "--pull=never",
            "--network=host",
            "--format=docker",
            "--layers",
            *mounts,
            f"--file={DEPLOY / 'docker' / 'Dockerfile'}",
            f"--ignorefile={DEPLOY / 'docker' / 'Dockerfile.dockerignore'}",
            f"--target={target}",
            f"--tag={(IMAGES | CUDA_IMAGE)[target]}",
            str(DEPLOY.parent),
        )


@contextmanager
def registries_within_reach() -> Iterator[list[str]]:
    """Options of `podman build` that give it this machine's way to package registries."""
    with tempfile.TemporaryDirectory() as folder:
        uv = Path(folder) / "uv.toml"
        uv.write_text("system-certs = true\n")
        mounted = [
            (SYSTEM_CERTIFICATES, SYSTEM_CERTIFICATES),
            (PIP_SETTINGS, PIP_SETTINGS),
            (uv, Path("/etc/uv/uv.toml")),
        ]
        yield [f"--volume={source}:{target}:ro" for source, target in mounted if source.exists()]
