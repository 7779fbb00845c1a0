"""Which engine serves which model."""

from __future__ import annotations

import os
import sys

from pivot.mlnode.engines.embedded.engine import embedded_planner
from pivot.mlnode.engines.plan import Plan, Planner
from pivot.mlnode.engines.vllm.engine import vllm_planner
from pivot.mlnode.model_cache import cache_folders
from pivot.mlnode.settings import MlNodeSettings
from pivot.protocol.mlnode_api import InferenceUp

OWN_MODELS = "pivot/"
"""Names of the models that come with the project, made for the embedded engine."""


def planner(settings: MlNodeSettings) -> Planner:
    """The embedded engine for the project's own models, vLLM for all others, unless the settings name one for all."""
    caches = cache_folders(os.environ)
    embedded = embedded_planner(settings.models_dir, caches)
    vllm = vllm_planner(settings.vllm_python or sys.executable, settings.models_dir, caches)

    async def plan(request: InferenceUp) -> Plan:
        own = request.model.startswith(OWN_MODELS)
        engine = settings.engine if settings.engine != "auto" else "embedded" if own else "vllm"
        return await (embedded if engine == "embedded" else vllm)(request)

    return plan
