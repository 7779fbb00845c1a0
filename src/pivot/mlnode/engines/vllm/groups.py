"""Which devices each instance gets: whole groups of tensor-parallel × pipeline-parallel size, out of those that this node may use.

`CUDA_VISIBLE_DEVICES` of the node itself is a restriction, and what children get are its own entries, not positions in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pivot.mlnode.devices import Device
from pivot.mlnode.engines.base import EngineFailed

VARIABLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Visible:
    """A device that the node may use."""

    name: str
    """As CUDA_VISIBLE_DEVICES names it: an index, or an identifier."""
    device: Device | None
    """What the driver tells of it; nothing of a part of a device (MIG)."""


@dataclass(frozen=True)
class Groups:
    """Devices by instance, and those that are left over."""

    groups: tuple[tuple[Visible, ...], ...]
    unused: tuple[Visible, ...] = ()


def visible(devices: Sequence[Device], restriction: str | None) -> list[Visible]:
    """The devices that the node may use, in the order in which CUDA counts them; None for no restriction.

    As CUDA does, an entry that names no device hides itself and all behind it.
    """
    if restriction is None:
        return [Visible(str(device.index), device) for device in devices]
    found: list[Visible] = []
    for entry in (part.strip() for part in restriction.split(",")):
        device = next((each for each in devices if _names(entry, each)), None)
        if device is None and not entry.startswith("MIG-"):
            break
        found.append(Visible(entry, device))
    return found


def grouped(devices: Sequence[Visible], size: int) -> Groups:
    """Groups of `size` devices. Without any device (a CPU) one group that holds none. Raises EngineFailed when none is whole."""
    if not devices:
        return Groups(((),))
    if len(devices) < size:
        raise EngineFailed(
            f"the model's parallel sizes ask for {size} devices, and this node has {len(devices)}: "
            f"set --tensor-parallel-size and --pipeline-parallel-size to what it has"
        )
    count = len(devices) // size
    groups = tuple(tuple(devices[i * size : (i + 1) * size]) for i in range(count))
    return Groups(groups, tuple(devices[count * size :]))


def _names(entry: str, device: Device) -> bool:
    if entry.isascii() and entry.isdigit():
        return int(entry) == device.index
    return entry.startswith("GPU-") and device.uuid.startswith(entry)
