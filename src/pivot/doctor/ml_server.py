"""The server of an ML node looked at from itself."""

from collections.abc import Mapping, Sequence

from pivot.doctor import machine, ports
from pivot.doctor.finding import Finding
from pivot.doctor.ml_nodes import callback_url_answers_from_here
from pivot.doctor.ports import Port, connects
from pivot.mlnode import devices
from pivot.mlnode.model_cache import cache_folders
from pivot.mlnode.reach import reach
from pivot.mlnode.settings import MlNodeSettings
from pivot.node.disk import free_bytes

START = "start it: docker compose up -d"


async def examine(
    settings: MlNodeSettings,
    environment: Mapping[str, str],
    models: Sequence[str],
    callback_url: str,
    *,
    before_start: bool,
) -> list[Finding]:
    """All findings. models: those that the node is to serve."""
    cache = cache_folders(environment)[0]
    findings = [machine.disk_has_room(cache, free_bytes(cache))]
    try:
        gpus = await devices.query_devices()
    except devices.DriverBroken as error:
        gpus = None
        findings.append(machine.gpu_driver_fails(error))
    else:
        findings.append(machine.gpus_work(gpus, needed=True))
    findings += [
        machine.memory_is_enough(machine.total_memory(), gpus or []),
        machine.models_are_cached(models, settings.models_dir, cache_folders(environment)),
    ]
    management = Port("the ML node's management", settings.host, settings.management_port)
    taken = await connects(management.host, management.number)
    if before_start:
        inference = Port("the ML node's answers", settings.host, settings.inference_port)
        findings += [
            ports.port_is_free(management, taken=taken),
            ports.port_is_free(inference, taken=await connects(inference.host, inference.number)),
        ]
    else:
        findings.append(ports.port_answers(management, listens=taken, remedy=START))
    tried = await reach(callback_url) if callback_url else None
    findings.append(callback_url_answers_from_here(callback_url, tried))
    return findings
