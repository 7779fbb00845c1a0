"""Make the images that deploy/docker/Dockerfile and the proxy's compose file name, where no registry of images is reached.

`python -m tests.deploy.local_bases` (as root; needs podman, debootstrap, Go and Rust): Debian from its packages, Python from
Debian, Go and Rust from this machine, Caddy from its sources. They get the names that are asked for, so that all is built
and run unchanged with `--pull=never`. They stand in for the real images in tests, nowhere else.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.deploy.caddy import MODULE as CADDY_MODULE
from tests.deploy.compose import DEPLOY
from tests.deploy.images import registries_within_reach
from tests.deploy.podman import podman

DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
PROXY = DEPLOY / "join" / "docker-compose.proxy.yml"
BASES = {
    **dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)),
    "CADDY_IMAGE": re.findall(r"image: (\S+)", PROXY.read_text())[0],
}
DEBIAN = "localhost/pivot-test/debian:bookworm"
PACKAGES = "ca-certificates,python3,python3-venv"

PYTHON_RECIPE = f"""FROM {DEBIAN}
RUN ln -s python3 /usr/bin/python
RUN cd /tmp && apt-get update -qq && apt-get download -qq libpython3.11-dev && \\
    dpkg-deb --fsys-tarfile libpython3.11-dev_*.deb | tar -x -C / ./usr/include && rm libpython3.11-dev_*.deb
"""
GO_RECIPE = f"FROM {DEBIAN}\nCOPY . /usr/local/go\nENV PATH=/usr/local/go/bin:$PATH\n"
RUST_RECIPE = f"""FROM {DEBIAN}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev
COPY bin /usr/local/rust/bin
COPY lib /usr/local/rust/lib
ENV PATH=/usr/local/rust/bin:$PATH
"""
CADDY_RECIPE = f"""FROM {BASES["GO_IMAGE"]} AS sources
RUN CGO_ENABLED=0 GOBIN=/out go install {CADDY_MODULE}
FROM {DEBIAN}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libcap2-bin
COPY --from=sources /out/caddy /usr/bin/caddy
RUN setcap cap_net_bind_service=+ep /usr/bin/caddy
WORKDIR /srv
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
"""


def missing_bases() -> list[str]:
    """The bases that podman does not have."""
    return [image for image in BASES.values() if podman("image", "exists", image, check=False).returncode]


def why_no_containers() -> str:
    """What keeps images from being built and run here; empty if nothing does."""
    for tool in ("podman", "podman-compose"):
        if shutil.which(tool) is None:
            return f"{tool} is not on this machine"
    if missing := missing_bases():
        return f"base images are missing ({', '.join(missing)}): python -m tests.deploy.local_bases makes them"
    return ""


def make_bases() -> None:
    """Make those that are missing."""
    missing = missing_bases()
    if not missing:
        return
    if podman("image", "exists", DEBIAN, check=False).returncode:
        make_debian()
    for name, recipe, context in (
        ("PYTHON_IMAGE", PYTHON_RECIPE, None),
        ("GO_IMAGE", GO_RECIPE, told_by("go", "env", "GOROOT")),
        ("RUST_IMAGE", RUST_RECIPE, told_by("rustc", "--print", "sysroot")),
        ("CADDY_IMAGE", CADDY_RECIPE, None),
    ):
        if BASES[name] in missing:
            build(BASES[name], recipe, context)


def make_debian() -> None:
    """A small Debian, from its packages."""
    with tempfile.TemporaryDirectory() as folder:
        root, archive = Path(folder) / "root", Path(folder) / "root.tar"
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)]
        subprocess.run(bootstrap, check=True, stdout=sys.stderr)
        shutil.rmtree(root / "var/cache/apt/archives")
        (root / "var/cache/apt/archives/partial").mkdir(parents=True)
        subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
        podman("import", str(archive), DEBIAN)


def build(image: str, recipe: str, context: Path | None) -> None:
    """One base from its recipe; `context` is the folder that it copies from."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "Dockerfile"
        file.write_text(recipe)
        with registries_within_reach() as mounts:
            where = ["-t", image, "-f", str(file), str(context or folder)]
            podman("build", "--pull=never", "--network=host", *mounts, *where)


def told_by(*command: str) -> Path:
    """The folder that a tool names."""
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()).resolve()


if __name__ == "__main__":
    make_bases()
