"""Arguments with which an engine serves a model, named and meant as in vLLM: what each may say, and whether it changes answers.

One table for both sides: the API node holds a host to its model's registration (design, section 7), the ML node passes on nothing
that is not in it. What loads code, weights or settings from elsewhere (`--trust-remote-code`, `--model`, `--config`), opens ports
(`--host`, `--port`) or writes prompts to a log is not there, whoever asks for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

LEAST_LOGPROBS = 5
"""Alternatives per position that a check of an answer looks at (`docs/protocol/checking.md`)."""
MAX_SHOWN_LENGTH = 100
TRUE, FALSE = "true", "false"
"""Values of a flag: `--x` and `--no-x`."""
NEGATION = "--no-"

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_COUNT = re.compile(r"[1-9][0-9]{0,11}[kKmMgG]?")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class InvalidArgument(ValueError):
    """An argument that no engine is started with; the sentence names it."""


class Value(Enum):
    """What may stand behind an argument's name: a pattern of the whole value. Nothing here can be a path or another argument."""

    FLAG = f"{TRUE}|{FALSE}"
    COUNT = _COUNT.pattern
    INTEGER = r"[0-9]{1,12}"
    DECIMAL = r"[0-9]{1,6}(\.[0-9]{1,9})?"
    WORD = _NAME
    MODEL = rf"(?!.*(\.\.|--)){_NAME}(/{_NAME})?"
    SAMPLING_DEFAULTS = r"auto|vllm"
    """Of the model, or the engine's own; vLLM would take a folder, too."""
    RUNNER = r"auto|generate|pooling"
    """Whether a model writes text, or gives a vector for one."""
    CONVERT = r"auto|none|embed"
    """Whether a model that was made to write gives vectors; the other kinds of pooling cannot be checked."""
    OBJECT = r"\{.*\}"
    TEMPLATE = r"(?s)(?=.*\{[{%])[^-].*"
    """The text of a template, never the name of a file."""


@dataclass(frozen=True)
class EngineArgument:
    """One argument of an engine."""

    value: Value
    changes_answers: bool
    """Fixed by the model's registration on the chain; a host may repeat it but not change it."""


def _fixed(value: Value) -> EngineArgument:
    return EngineArgument(value, changes_answers=True)


def _free(value: Value) -> EngineArgument:
    return EngineArgument(value, changes_answers=False)


TENSOR_PARALLEL = "--tensor-parallel-size"
PIPELINE_PARALLEL = "--pipeline-parallel-size"
MAX_LOGPROBS = "--max-logprobs"
MAX_MODEL_LENGTH = "--max-model-len"
DTYPE = "--dtype"
QUANTIZATION = "--quantization"
REVISION = "--revision"
SERVED_NAME = "--served-model-name"
CPU_OFFLOAD = "--cpu-offload-gb"
SLEEP_MODE = "--enable-sleep-mode"
RUNNER = "--runner"
CONVERT = "--convert"
POOLING = "pooling"
EMBED = "embed"

ARGUMENTS: Mapping[str, EngineArgument] = {
    DTYPE: _fixed(Value.WORD),
    QUANTIZATION: _fixed(Value.WORD),
    "--kv-cache-dtype": _fixed(Value.WORD),
    MAX_MODEL_LENGTH: _fixed(Value.COUNT),
    REVISION: _fixed(Value.WORD),
    "--tokenizer": _fixed(Value.MODEL),
    "--tokenizer-mode": _fixed(Value.WORD),
    "--tokenizer-revision": _fixed(Value.WORD),
    "--config-format": _fixed(Value.WORD),
    "--model-impl": _fixed(Value.WORD),
    "--chat-template": _fixed(Value.TEMPLATE),
    "--chat-template-content-format": _fixed(Value.WORD),
    "--default-chat-template-kwargs": _fixed(Value.OBJECT),
    "--hf-overrides": _fixed(Value.OBJECT),
    "--generation-config": _fixed(Value.SAMPLING_DEFAULTS),
    "--override-generation-config": _fixed(Value.OBJECT),
    "--logprobs-mode": _fixed(Value.WORD),
    MAX_LOGPROBS: _fixed(Value.COUNT),
    SERVED_NAME: _fixed(Value.MODEL),
    "--seed": _fixed(Value.INTEGER),
    "--disable-sliding-window": _fixed(Value.FLAG),
    "--limit-mm-per-prompt": _fixed(Value.OBJECT),
    "--mm-processor-kwargs": _fixed(Value.OBJECT),
    "--enable-auto-tool-choice": _fixed(Value.FLAG),
    "--tool-call-parser": _fixed(Value.WORD),
    "--reasoning-parser": _fixed(Value.WORD),
    RUNNER: _fixed(Value.RUNNER),
    CONVERT: _fixed(Value.CONVERT),
    TENSOR_PARALLEL: _free(Value.COUNT),
    PIPELINE_PARALLEL: _free(Value.COUNT),
    "--enable-expert-parallel": _free(Value.FLAG),
    "--disable-custom-all-reduce": _free(Value.FLAG),
    "--gpu-memory-utilization": _free(Value.DECIMAL),
    "--kv-cache-memory-bytes": _free(Value.COUNT),
    "--num-gpu-blocks-override": _free(Value.COUNT),
    "--block-size": _free(Value.COUNT),
    CPU_OFFLOAD: _free(Value.DECIMAL),
    "--max-num-seqs": _free(Value.COUNT),
    "--max-num-batched-tokens": _free(Value.COUNT),
    "--max-num-queued-reqs": _free(Value.COUNT),
    "--long-prefill-token-threshold": _free(Value.INTEGER),
    "--scheduling-policy": _free(Value.WORD),
    "--async-scheduling": _free(Value.FLAG),
    "--enable-chunked-prefill": _free(Value.FLAG),
    "--enable-prefix-caching": _free(Value.FLAG),
    "--attention-backend": _free(Value.WORD),
    "--moe-backend": _free(Value.WORD),
    "--linear-backend": _free(Value.WORD),
    "--enforce-eager": _free(Value.FLAG),
    "--optimization-level": _free(Value.INTEGER),
    "--max-cudagraph-capture-size": _free(Value.COUNT),
    "--max-parallel-loading-workers": _free(Value.COUNT),
    "--safetensors-load-strategy": _free(Value.WORD),
    "--numa-bind": _free(Value.FLAG),
    SLEEP_MODE: _free(Value.FLAG),
    "--disable-log-stats": _free(Value.FLAG),
}
ALIASES: Mapping[str, str] = {
    "-tp": TENSOR_PARALLEL,
    "-pp": PIPELINE_PARALLEL,
    "-ep": "--enable-expert-parallel",
    "-q": QUANTIZATION,
    "--device-memory-utilization": "--gpu-memory-utilization",
}
DEFAULTS: Mapping[str, str] = {
    DTYPE: "float16",
    "--kv-cache-dtype": "auto",
    "--tokenizer-mode": "auto",
    "--generation-config": "auto",
    "--logprobs-mode": "raw_logprobs",
    RUNNER: "auto",
    CONVERT: "auto",
}
"""What holds where a registration says nothing: a node's own dtype, and vLLM's defaults."""


def split(arguments: Sequence[str]) -> dict[str, str]:
    """Arguments by their full names: `--key value`, `--key=value`, `--flag`, `--no-flag` and short names; `_` stands for `-`.

    Any name and any value is taken. Raises InvalidArgument for a value without a name, several behind one, and a name given twice.
    """
    found: dict[str, str] = {}
    awaiting = ""
    for token in arguments:
        if not _is_name(token):
            if not awaiting:
                raise InvalidArgument(f"{_shown(token)} has no argument's name (--…) before it")
            found[awaiting], awaiting = token, ""
            continue
        name, equals, value = token.partition("=")
        name, flag = _full_name(name)
        if name in found:
            raise InvalidArgument(f"{_shown(name)} stands there twice")
        found[name] = value if equals else flag
        awaiting = "" if equals or _is_flag(name) else name
    return found


def checked(arguments: Sequence[str]) -> dict[str, str]:
    """As `split`, when each is in the table and has a value of its kind. Raises InvalidArgument, which names the first that is not."""
    found = split(arguments)
    for name, value in found.items():
        check(name, value)
    return found


def check(name: str, value: str) -> None:
    """Refuse an argument that is not in the table, or that cannot say this. Raises InvalidArgument."""
    known = ARGUMENTS.get(name)
    if known is None:
        raise InvalidArgument(f"{_shown(name)} is none of the arguments that may be set")
    if not re.fullmatch(known.value.value, value) or (known.value is Value.OBJECT and not _is_object(value)):
        raise InvalidArgument(f"{name} cannot be {_shown(value)}")


def joined(arguments: Mapping[str, str]) -> tuple[str, ...]:
    """Arguments as an engine takes them: `--key`, `value`; also the published ML node reads parallel sizes in this form only."""
    tokens: list[str] = []
    for name, value in arguments.items():
        if _is_flag(name):
            tokens.append(name if value == TRUE else NEGATION + name.removeprefix("--"))
        else:
            tokens += [name, value]
    return tuple(tokens)


def gives_vectors(arguments: Sequence[str]) -> bool:
    """Whether a model that is served so offers embeddings, and no chats or completions: as vLLM reads `--runner` and `--convert`.

    What the model's own files would have vLLM do by itself is not known here, so a registration has to say it.
    """
    try:
        found = {**DEFAULTS, **split(arguments)}
    except InvalidArgument:
        return False
    return found[RUNNER] == POOLING or (found[RUNNER], found[CONVERT]) == (DEFAULTS[RUNNER], EMBED)


def enough_logprobs(value: str) -> bool:
    """Whether `--max-logprobs` of this value leaves checks of answers what they need."""
    return bool(_COUNT.fullmatch(value)) and (value[-1] in "kKmMgG" or int(value) >= LEAST_LOGPROBS)


def _full_name(name: str) -> tuple[str, str]:
    """The name in the table's spelling, and the value that it has when nothing follows."""
    name = ALIASES.get(name, name.replace("_", "-"))
    name = ALIASES.get(name, name)
    positive = "--" + name.removeprefix(NEGATION)
    if name.startswith(NEGATION) and _is_flag(positive):
        return positive, FALSE
    return name, TRUE if _is_flag(name) else ""


def _is_name(token: str) -> bool:
    return token.startswith("-") and not _NUMBER.fullmatch(token)


def _is_flag(name: str) -> bool:
    known = ARGUMENTS.get(name)
    return known is not None and known.value is Value.FLAG


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _shown(text: str) -> str:
    return repr(text if len(text) <= MAX_SHOWN_LENGTH else text[:MAX_SHOWN_LENGTH] + "…")
