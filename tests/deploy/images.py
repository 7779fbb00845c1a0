"""Build the images of deploy/docker/Dockerfile from bases that are on this machine, with its way to the registries.

What the machine needs to reach them (certificates, pip's settings) is mounted while an image is built; nothing of it stays.
"""

import tempfile
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
"""Target to name, as in the compose files. The CUDA target is left out: gigabytes, and nothing here could run it."""


def build_image(target: str) -> None:
    """Build one target; the layers that others share are built once."""
    with tempfile.TemporaryDirectory() as folder:
        uv = Path(folder) / "uv.toml"
        uv.write_text("system-certs = true\n")
        mounted = [
            (SYSTEM_CERTIFICATES, SYSTEM_CERTIFICATES),
            (PIP_SETTINGS, PIP_SETTINGS),
            (uv, Path("/etc/uv/uv.toml")),
        ]
        podman(
            "build",
            "--pull=never",
            "--network=host",
            "--format=docker",
            "--layers",
            *(f"--volume={source}:{target}:ro" for source, target in mounted if source.exists()),
            f"--file={DEPLOY / 'docker' / 'Dockerfile'}",
            f"--ignorefile={DEPLOY / 'docker' / 'Dockerfile.dockerignore'}",
            f"--target={target}",
            f"--tag={IMAGES[target]}",
            str(DEPLOY.parent),
        )
