"""The embedded engine as the ML node sees it: which command serves which request."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.engines.process import ProcessEngine
from pivot.mlnode.model_cache import require_model
from pivot.protocol.mlnode_api import InferenceUp

ENGINE_MODULE = "pivot.mlnode.engines.embedded"
DTYPES = ("auto", "float16", "bfloat16", "float32", "half", "float")
"""Taken for what they ask of others: this engine computes in fp32 whatever the dtype."""
ARGUMENTS = ("--max-model-len", "--max-num-seqs")
"""What a request may set, named and meant as in vLLM."""
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Small matrices are slower on more threads; an operator with larger ones may set it otherwise."""


def embedded_engine(
    session: aiohttp.ClientSession, models: Path, host: str, port: int, caches: Sequence[Path] = ()
) -> ProcessEngine:
    """The embedded engine on a port, with the models of a folder and of Hugging Face caches."""

    def command_for(request: InferenceUp) -> Sequence[str]:
        if request.dtype not in DTYPES:
            raise EngineFailed(f"dtype {request.dtype!r} is none of {', '.join(DTYPES)}")
        place = ["--model", str(require_model(request.model, models, caches)), "--served-name", request.model]
        address = ["--host", host, "--port", str(port)]
        arguments = known_arguments(request.additional_args)
        return [sys.executable, "-m", ENGINE_MODULE, *place, *address, "--end-with-stdin", *arguments]

    return ProcessEngine(session, command_for, host, port, ONE_THREAD)


def known_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments, when all of them are ARGUMENTS with positive numbers. Raises EngineFailed naming what is not."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    for name in ARGUMENTS:
        parser.add_argument(name, type=int)
    try:
        known, unknown = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise EngineFailed(f"bad argument for the embedded engine: {error}") from error
    if unknown:
        raise EngineFailed(f"the embedded engine does not know {unknown[0]!r}; it knows {', '.join(ARGUMENTS)}")
    given = {name: value for name, value in vars(known).items() if value is not None}
    for name, value in given.items():
        if value < 1:
            raise EngineFailed(f"bad argument for the embedded engine: {name} must be positive, not {value}")
    return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]
