"""vLLM as the ML node sees it: which command serves which request, in how many instances, on which devices."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from pivot.mlnode.devices import Device, DriverBroken, query_devices
from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.engines.plan import InstancePlan, Plan, Planner, environment
from pivot.mlnode.engines.vllm.groups import VARIABLE, Groups, Visible, grouped, visible
from pivot.mlnode.engines.vllm.progress import stage_of
from pivot.mlnode.engines.vllm.room import loaded_bytes, require_device_memory, require_disk, require_memory
from pivot.mlnode.engines.vllm.sleep import DEVELOPMENT_MODE, SleepMode
from pivot.mlnode.model_cache import CachedModel, require_model
from pivot.mlnode.watches import DeviceQuery
from pivot.protocol.engine_arguments import (
    DTYPE,
    PIPELINE_PARALLEL,
    REVISION,
    SERVED_NAME,
    SLEEP_MODE,
    TENSOR_PARALLEL,
    TRUE,
    InvalidArgument,
    checked,
    joined,
)
from pivot.protocol.mlnode_api import InferenceUp

OLDEST = (0, 32)
"""The first release whose arguments, log and answers this file knows."""
SERVER_MODULE = "vllm.entrypoints.openai.api_server"
TETHER_MODULE = "pivot.mlnode.training.tether"
LOOPBACK = "127.0.0.1"
STOP_TIMEOUT_S = 8.0
"""vLLM ends its own processes one after the other; more than the tether's patience with it."""
LOOK_TIMEOUT_S = 60.0
TELL_VERSION = (
    "import importlib.util as u; s = u.find_spec('vllm'); print(s.submodule_search_locations[0] if s else '')"
)
ALWAYS = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    DEVELOPMENT_MODE: "0",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "0",
    "VLLM_CONFIGURE_LOGGING": "1",
    "VLLM_LOGGING_COLOR": "0",
    "PYTHONUNBUFFERED": "1",
}
"""Nothing is fetched, told to anybody, or changed by who may ask for answers; the log comes line by line, as it is read here."""
UNLESS_SET = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "VLLM_USE_FLASHINFER_SAMPLER": "0"}
"""Indices mean the same to CUDA as to the driver's tool; torch samples, as FlashInfer ends a start where CUDA's compiler is missing."""

_VERSION = re.compile(r"^(?:__version__ = )?version = ['\"](?P<major>\d+)\.(?P<minor>\d+)", re.MULTILINE)


def vllm_planner(
    python: str, models: Path, caches: Sequence[Path] = (), devices: DeviceQuery = query_devices
) -> Planner:
    """Plans of vLLM, run by this interpreter, with the models of a folder and of Hugging Face caches."""

    async def plan(request: InferenceUp) -> Plan:
        arguments = known_arguments(request.additional_args)
        dtype = arguments.pop(DTYPE, request.dtype)
        revision = arguments.pop(REVISION, "")
        sleeps = arguments.pop(SLEEP_MODE, TRUE) == TRUE
        model = require_model(request.model, models, caches, revision)
        await require_vllm(python)
        groups = grouped(visible(await _present(devices), os.environ.get(VARIABLE)), _group_size(arguments))
        needed = loaded_bytes(model, dtype, arguments)
        require_disk(os.environ, _group_size(arguments))
        for group in groups.groups:
            if group:
                require_device_memory(request.model, needed, group, arguments)
            else:
                require_memory(request.model, needed)
        command = [
            sys.executable,
            "-m",
            TETHER_MODULE,
            python,
            "-m",
            SERVER_MODULE,
            *_source(request.model, model, arguments),
        ]
        rest = [*joined({DTYPE: dtype} | arguments), "--disable-uvicorn-access-log"]
        parking = _sleep_mode(groups, needed, devices) if sleeps else None
        if parking:
            rest.append(SLEEP_MODE)

        def command_for(port: int) -> Sequence[str]:
            return [*command, "--host", LOOPBACK, "--port", str(port), *rest]

        instances = tuple(
            InstancePlan(command_for, _environment(model, group, sleeps=parking is not None), _names(group))
            for group in groups.groups
        )
        return Plan(instances, _names(groups.unused), stage_of, STOP_TIMEOUT_S, parking)

    return plan


def known_arguments(arguments: Sequence[str]) -> dict[str, str]:
    """The arguments by name, when all may be passed on. Raises EngineFailed naming the first that may not."""
    try:
        return checked(arguments)
    except InvalidArgument as error:
        raise EngineFailed(f"vLLM is not started so: {error}") from error


async def require_vllm(python: str) -> None:
    """Raises EngineFailed with what to install, when this interpreter has no vLLM, or one that is too old."""
    wanted = f"vLLM {'.'.join(map(str, OLDEST))} or later"
    how = f"install it (`uv pip install 'vllm>={'.'.join(map(str, OLDEST))}'`) and name its interpreter in MLNODE_VLLM_PYTHON"
    try:
        looking = await asyncio.create_subprocess_exec(
            python,
            "-c",
            TELL_VERSION,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise EngineFailed(
            f"this model needs {wanted}, and {python} cannot be run ({error.strerror}): {how}"
        ) from error
    try:
        told, _ = await asyncio.wait_for(looking.communicate(), LOOK_TIMEOUT_S)
    except TimeoutError as error:
        raise EngineFailed(f"{python} does not answer within {LOOK_TIMEOUT_S:.0f} s") from error
    finally:
        if looking.returncode is None:
            looking.kill()
            await looking.wait()
    folder = told.decode(errors="replace").strip()
    if looking.returncode or not folder:
        raise EngineFailed(f"this model needs {wanted}, and {python} has none: {how}")
    version = version_in(Path(folder))
    if version and version < OLDEST:
        raise EngineFailed(f"this model needs {wanted}, and {python} has {'.'.join(map(str, version))}: {how}")


def version_in(folder: Path) -> tuple[int, int] | None:
    """The release of an installed package, read from its files: to import it would take seconds. None for an unnumbered build."""
    file = folder / "_version.py"
    found = _VERSION.search(file.read_text()) if file.is_file() else None
    return (int(found["major"]), int(found["minor"])) if found else None


async def _present(devices: DeviceQuery) -> Sequence[Device]:
    try:
        return await devices() or []
    except DriverBroken as error:
        raise EngineFailed(f"the machine's devices cannot be told: {error}") from error


def _group_size(arguments: dict[str, str]) -> int:
    try:
        return int(arguments.get(TENSOR_PARALLEL, 1)) * int(arguments.get(PIPELINE_PARALLEL, 1))
    except ValueError:
        raise EngineFailed(f"{TENSOR_PARALLEL} and {PIPELINE_PARALLEL} must be whole numbers") from None


def _source(name: str, model: CachedModel, arguments: dict[str, str]) -> list[str]:
    """`--model` and what belongs to it: the name and the commit of what a cache holds, else the folder of the files."""
    if model.revision:
        return ["--model", name, REVISION, model.revision]
    named = [] if SERVED_NAME in arguments else [SERVED_NAME, name]
    return ["--model", str(model.folder), *named]


def _sleep_mode(groups: Groups, weights: int, devices: DeviceQuery) -> SleepMode | None:
    """How the instances are put to sleep; None on a CPU, where vLLM knows no sleep."""
    members = [member for group in groups.groups for member in group]
    told = [member.device for member in members if member.device]
    used = {device.uuid: device.memory_used_mib for device in told if device.memory_used_mib is not None}
    return SleepMode(weights, used, devices) if members else None


def _environment(model: CachedModel, group: Sequence[Visible], *, sleeps: bool) -> dict[str, str]:
    cache = {"HF_HUB_CACHE": str(model.cache)} if model.revision else {}
    devices = {VARIABLE: ",".join(_names(group))} if group else {}
    commands = {DEVELOPMENT_MODE: "1"} if sleeps else {}
    return environment(unless_set=UNLESS_SET, always={**ALWAYS, **cache, **devices, **commands})


def _names(group: Sequence[Visible]) -> tuple[str, ...]:
    return tuple(each.name for each in group)
