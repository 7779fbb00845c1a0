"""In which numbers a model's matrix products run.

Products take operands of one precision and add in fp32. A GPU does so by itself; a CPU that cannot rounds fp32
numbers to what the operands and results would be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["fp32", "tf32", "fp16", "bf16"]
Rounding = Callable[[Tensor], Tensor]

_TF32_DROPPED = 13
"""Mantissa bits of fp32 that TF32 does not have."""


@dataclass(frozen=True)
class Arithmetic:
    """How the operands and results of products are held."""

    storage: torch.dtype
    """Of weights, operands and results."""
    rounding: Rounding
    """To an operand or result, in `storage`."""
    tensor_cores: bool = False
    """Whether fp32 products may take TF32 operands."""


def arithmetic(precision: Precision, device: torch.device) -> Arithmetic:
    """The arithmetic of a precision on a device. Raises ValueError for an unknown one."""
    if precision not in {"fp32", "tf32", "fp16", "bf16"}:
        raise ValueError(f"{precision} is no precision of the sprint's products: fp32, tf32, fp16 or bf16")
    if precision == "fp32":
        return stored(torch.float32)
    if device.type == "cuda":
        if precision == "tf32":
            return Arithmetic(torch.float32, _same, tensor_cores=True)
        return stored(torch.float16 if precision == "fp16" else torch.bfloat16)
    if precision == "tf32":
        return Arithmetic(torch.float32, to_tf32)
    return through(torch.float16 if precision == "fp16" else torch.bfloat16)


def stored(dtype: torch.dtype) -> Arithmetic:
    """The device's own products of this type."""
    return Arithmetic(dtype, lambda x: x.to(dtype))


def through(dtype: torch.dtype) -> Arithmetic:
    """fp32 products of numbers that were rounded to this type."""
    return Arithmetic(torch.float32, lambda x: x.to(dtype).float())


def allow_only(kind: Arithmetic) -> None:
    """Have CUDA add in fp32, and take TF32 operands only where this arithmetic says so."""
    products = torch.backends.cuda.matmul
    products.allow_fp16_reduced_precision_reduction = False
    products.allow_bf16_reduced_precision_reduction = False
    products.fp32_precision = "tf32" if kind.tensor_cores else "ieee"


def to_tf32(x: Tensor) -> Tensor:
    """Rounded to TF32's ten mantissa bits, to even. x: fp32."""
    bits = x.contiguous().view(torch.int32)
    half = (1 << _TF32_DROPPED - 1) - 1
    rounded = bits + half + (bits >> _TF32_DROPPED & 1)
    return (rounded & -(1 << _TF32_DROPPED)).view(torch.float32)


def _same(x: Tensor) -> Tensor:
    return x
