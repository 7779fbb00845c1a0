from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pivot.mlnode.engines.embedded.weights import UnsupportedModel, load_weights, read_safetensors
from tests.mlnode.engines.tiny import write_safetensors

TENSOR = np.array([[1.0, -2.5, 0.15625], [3.0, 1e-3, -65_504.0]], np.float32)


@pytest.mark.parametrize(("dtype", "tolerance"), [("F32", 0), ("F16", 5e-4), ("BF16", 2**-7)])
def test_every_dtype_is_widened_to_fp32(tmp_path: Path, dtype: str, tolerance: float) -> None:
    write_safetensors(tmp_path / "a.safetensors", {"x": TENSOR}, dtype)
    read = read_safetensors(tmp_path / "a.safetensors")["x"]
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, TENSOR, rtol=tolerance)


def test_files_of_the_safetensors_library_are_read(tmp_path: Path) -> None:
    save_file({"x": TENSOR, "y": TENSOR[0].astype(np.float16)}, tmp_path / "a.safetensors", {"format": "pt"})
    read = read_safetensors(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(read["x"], TENSOR)
    assert read["y"].shape == (3,)


def test_a_model_may_lie_in_several_files(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model-00001-of-00002.safetensors", {"x": TENSOR})
    write_safetensors(tmp_path / "model-00002-of-00002.safetensors", {"y": TENSOR})
    assert set(load_weights(tmp_path)) == {"x", "y"}


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"holds no \*.safetensors"):
        load_weights(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        b"\x02" + bytes(7) + b"{",
        b"\x02" + bytes(7) + b"[]",
        (47).to_bytes(8, "little") + b'{"x":{"dtype":"F32","shape":[9],"data_offsets":' + b"[0,4]}}",
        (60).to_bytes(8, "little") + b'{"x":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}      ' + bytes(4),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(UnsupportedModel, match="cannot be read as safetensors"):
        read_safetensors(tmp_path / "a.safetensors")


def test_other_numbers_are_refused_by_name(tmp_path: Path) -> None:
    save_file({"x": np.arange(3)}, tmp_path / "a.safetensors")
    with pytest.raises(UnsupportedModel, match="tensor x is of dtype I64; known are BF16, F16, F32"):
        read_safetensors(tmp_path / "a.safetensors")
