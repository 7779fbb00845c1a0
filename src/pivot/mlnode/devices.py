"""The machine's accelerators as the driver's own tool tells of them: no CUDA context is ever opened in this process."""

from __future__ import annotations

import asyncio
import contextlib
import math
import shutil
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

FIELDS = (
    "index",
    "uuid",
    "memory.total",
    "memory.used",
    "utilization.gpu",
    "temperature.gpu",
    "driver_version",
    "name",
)
"""What is asked for, in this order. The name is last: it may hold commas."""
QUERY = ("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits")
QUERY_TIMEOUT_S = 20
KILL_TIMEOUT_S = 1.0
MAX_REASON_LENGTH = 300
NO_TOOL = "nvidia-smi is not on this machine: there are no NVIDIA GPUs here, or no driver for them"


class DriverBroken(Exception):
    """The driver's tool is there and fails."""


class Device(BaseModel):
    """One accelerator. What the driver does not tell is None."""

    model_config = ConfigDict(frozen=True)

    index: int
    uuid: str
    name: str
    memory_total_mib: int | None = None
    memory_used_mib: int | None = None
    utilisation_percent: int | None = None
    temperature_celsius: int | None = None
    driver: str


async def query_devices() -> list[Device] | None:
    """The NVIDIA GPUs; None without a driver. Raises DriverBroken."""
    if shutil.which(QUERY[0]) is None:
        return None
    pipe = asyncio.subprocess.PIPE
    try:
        asking = await asyncio.create_subprocess_exec(*QUERY, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise DriverBroken(f"nvidia-smi cannot be started: {error}") from error
    try:
        async with asyncio.timeout(QUERY_TIMEOUT_S):
            told, complaint = await asking.communicate()
    except TimeoutError as error:
        raise DriverBroken(f"nvidia-smi does not answer within {QUERY_TIMEOUT_S} s") from error
    finally:
        if asking.returncode is None:
            asking.kill()
            with contextlib.suppress(TimeoutError):  # when a GPU falls out, its driver may hold the process for ever
                await asyncio.wait_for(asking.communicate(), KILL_TIMEOUT_S)
    listing = told.decode(errors="replace")
    if asking.returncode:
        reason = " ".join((listing or complaint.decode(errors="replace")).split()) or "no reason"
        raise DriverBroken(f"nvidia-smi fails: {reason[:MAX_REASON_LENGTH]}")
    return parse_devices(listing)


def parse_devices(listing: str) -> list[Device]:
    """Devices from nvidia-smi's lines. Raises DriverBroken."""
    try:
        return [_device(line.split(",", len(FIELDS) - 1)) for line in listing.splitlines() if line.strip()]
    except ValueError:
        raise DriverBroken(f"nvidia-smi tells something unknown: {listing.strip()[:MAX_REASON_LENGTH]}") from None


def _device(parts: Sequence[str]) -> Device:
    index, uuid, total, used, utilisation, temperature, driver, name = (part.strip() for part in parts)
    return Device(
        index=int(index),
        uuid=uuid,
        name=name,
        memory_total_mib=_told(total),
        memory_used_mib=_told(used),
        utilisation_percent=_told(utilisation),
        temperature_celsius=_told(temperature),
        driver=driver,
    )


def _told(text: str) -> int | None:
    """A whole number, or None for `[N/A]` and the like."""
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if math.isfinite(number) else None
