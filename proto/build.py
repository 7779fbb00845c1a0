"""Compile the .proto files of this folder into `src/pivot/protocol/generated` (run by `make setup`).

The standard Cosmos and ABCI types come from one package only, `cosmpy.protos`: two copies of one file cannot live in a
process. Its descriptors serve here as the imports of our own files, so no foreign .proto file is kept in this repository.
Type stubs are written for ours (beside the code) and for theirs (into `build/stubs`, where mypy looks).
"""

import importlib
import pkgutil
import re
import shutil
import sys
import tempfile
from pathlib import Path

import cosmpy.protos
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ROOT / "src/pivot/protocol/generated"
STUBS = ROOT / "build/stubs"
FOREIGN = ("cosmos", "tendermint", "google/api", "gogoproto", "cosmos_proto", "amino")


def foreign_descriptors() -> descriptor_pb2.FileDescriptorSet:
    """Every file that cosmpy.protos knows of the Cosmos SDK and ABCI, with the files that these import."""
    root = Path(cosmpy.protos.__file__).parent
    for package in ("cosmos", "tendermint"):
        for found in pkgutil.walk_packages([str(root / package)], prefix=f"{package}."):
            if found.name.endswith("_pb2"):
                importlib.import_module(found.name)
    pool, seen = descriptor_pool.Default(), descriptor_pb2.FileDescriptorSet()
    done: set[str] = set()

    def add(name: str) -> None:
        if name in done:
            return
        done.add(name)
        file = descriptor_pb2.FileDescriptorProto()
        pool.FindFileByName(name).CopyToProto(file)
        for dependency in file.dependency:
            add(dependency)
        seen.file.append(file)

    for module in list(sys.modules.values()):
        descriptor = getattr(module, "DESCRIPTOR", None)
        if module.__name__.endswith("_pb2") and hasattr(descriptor, "name"):
            add(descriptor.name)
    return seen


def compile_protos(arguments: list[str]) -> None:
    if protoc.main(["protoc", *arguments]):
        sys.exit("the .proto files do not compile")


def rewrite_imports(folder: Path) -> None:
    """Make our files import each other below `pivot.protocol.generated`, not from a top-level package."""
    for file in [*folder.rglob("*.py"), *folder.rglob("*.pyi")]:
        text = file.read_text()
        text = re.sub(
            r"^from inference(\.\S+)? import",
            r"from pivot.protocol.generated.inference\1 import",
            text,
            flags=re.MULTILINE,
        )
        text = re.sub(
            r"^import inference\.(\S+)$", r"import pivot.protocol.generated.inference.\1", text, flags=re.MULTILINE
        )
        if file.suffix == ".pyi":
            text = re.sub(r"(?<![\w.])inference\.inference\.", "pivot.protocol.generated.inference.inference.", text)
            text = text.replace("pivot.protocol.generated.pivot.protocol.generated.", "pivot.protocol.generated.")
        file.write_text(text)
    for directory in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        (directory / "__init__.py").touch()


def main() -> None:
    ours = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto"))
    foreign = foreign_descriptors()
    for folder in (GENERATED, STUBS):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    with tempfile.NamedTemporaryFile(suffix=".bin") as descriptors:
        descriptors.write(foreign.SerializeToString())
        descriptors.flush()
        known = f"--descriptor_set_in={descriptors.name}"
        compile_protos(
            [known, f"--proto_path={ROOT / 'proto'}", f"--python_out={GENERATED}", f"--pyi_out={GENERATED}", *ours]
        )
        names = [file.name for file in foreign.file if file.name.startswith(FOREIGN)]
        compile_protos([known, f"--pyi_out={STUBS}", *names])
    rewrite_imports(GENERATED)
    for directory in [path for path in STUBS.rglob("*") if path.is_dir() and path.name != "google"]:
        (directory / "__init__.pyi").touch()


if __name__ == "__main__":
    main()
