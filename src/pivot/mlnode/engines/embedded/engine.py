"""The embedded engine as the ML node sees it: which command serves which request."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.engines.plan import InstancePlan, Plan, Planner, environment
from pivot.mlnode.model_cache import require_model
from pivot.protocol.engine_arguments import (
    CONVERT,
    DTYPE,
    MAX_LOGPROBS,
    MAX_MODEL_LENGTH,
    REVISION,
    RUNNER,
    SERVED_NAME,
    InvalidArgument,
    checked,
    gives_vectors,
)
from pivot.protocol.mlnode_api import InferenceUp

ENGINE_MODULE = "pivot.mlnode.engines.embedded"
DTYPES = ("auto", "float16", "bfloat16", "float32", "half", "float")
"""Taken for what they ask of others: this engine computes in fp32 whatever the dtype."""
PASSED_ON = (MAX_MODEL_LENGTH, "--max-num-seqs")
"""What a request may set, named and meant as in vLLM."""
TOLERATED = (DTYPE, MAX_LOGPROBS, REVISION, SERVED_NAME, RUNNER, CONVERT)
"""What a registration may say besides: it is heeded here, or holds anyway."""
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Small matrices are slower on more threads; an operator with larger ones may set it otherwise."""


def embedded_planner(models: Path, caches: Sequence[Path] = ()) -> Planner:
    """Plans of the embedded engine, with the models of a folder and of Hugging Face caches: always one instance."""

    async def plan(request: InferenceUp) -> Plan:
        arguments = known_arguments(request.additional_args)
        dtype = arguments.get(DTYPE, request.dtype)
        if dtype not in DTYPES:
            raise EngineFailed(f"dtype {dtype!r} is none of {', '.join(DTYPES)}")
        folder = require_model(request.model, models, caches, arguments.get(REVISION, "")).folder
        served_name = arguments.get(SERVED_NAME, request.model)
        command = [sys.executable, "-m", ENGINE_MODULE, "--model", str(folder), "--served-name", served_name]
        passed_on = [f"{name}={value}" for name, value in arguments.items() if name in PASSED_ON]
        if gives_vectors(request.additional_args):
            passed_on.append("--vectors")

        def command_for(port: int) -> Sequence[str]:
            return [*command, "--port", str(port), "--end-with-stdin", *passed_on]

        return Plan((InstancePlan(command_for, environment(unless_set=ONE_THREAD)),))

    return plan


def known_arguments(arguments: Sequence[str]) -> dict[str, str]:
    """The arguments by name, when the engine knows them all. Raises EngineFailed naming what it does not know."""
    try:
        found = checked(arguments)
    except InvalidArgument as error:
        raise EngineFailed(f"the embedded engine cannot be started so: {error}") from error
    for name in found:
        if name not in (*PASSED_ON, *TOLERATED):
            raise EngineFailed(f"the embedded engine does not know {name!r}; it knows {', '.join(PASSED_ON)}")
    return found
