"""Weights from safetensors files, widened to fp32.

The format: 8 bytes with the length of a JSON header (little-endian), the header (name to dtype, shape and place), the
data. Read here by hand since numpy knows no bf16.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

MAX_HEADER_BYTES = 100 * 2**20
LENGTH_BYTES = 8


class UnsupportedModel(Exception):
    """The model's files are none that this engine can run; the sentence says why."""


def load_weights(folder: Path) -> dict[str, Floats]:
    """All tensors of all `*.safetensors` in a folder, by name. Raises UnsupportedModel."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UnsupportedModel(f"{folder} holds no *.safetensors")
    weights: dict[str, Floats] = {}
    for file in files:
        weights |= read_safetensors(file)
    return weights


def read_safetensors(path: Path) -> dict[str, Floats]:
    """The tensors of one file, by name. Raises UnsupportedModel when it is damaged or holds other numbers."""
    try:
        data = np.memmap(path, np.uint8, "r")
        length = min(int.from_bytes(data[:LENGTH_BYTES].tobytes(), "little"), MAX_HEADER_BYTES)
        header = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + length].tobytes())
        header.pop("__metadata__", None)
        body = data[LENGTH_BYTES + length :]
        return {name: _tensor(body, name, entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise UnsupportedModel(f"{path} cannot be read as safetensors: {error}") from error


def _tensor(body: npt.NDArray[np.uint8], name: str, entry: dict[str, list[int]]) -> Floats:
    widen = _WIDEN.get(str(entry["dtype"]))
    if widen is None:
        raise UnsupportedModel(f"tensor {name} is of dtype {entry['dtype']}; known are {', '.join(_WIDEN)}")
    begin, end = entry["data_offsets"]
    return widen(body[begin:end].tobytes()).reshape(entry["shape"])


def _bf16(data: bytes) -> Floats:
    """bf16 is the upper half of fp32."""
    return (np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)


_WIDEN: dict[str, Callable[[bytes], Floats]] = {
    "BF16": _bf16,
    "F16": lambda data: np.frombuffer(data, "<f2").astype(np.float32),
    "F32": lambda data: np.frombuffer(data, "<f4").astype(np.float32),
}
