"""From chat messages to a prompt, by the model's own template in a sandbox."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pivot.mlnode.engines.embedded.weights import UnsupportedModel


class TemplateRefused(Exception):
    """The template does not take these messages."""


class ChatTemplate:
    """The chat template of a model folder: `chat_template.jinja`, else a field of `tokenizer_config.json`."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise UnsupportedModel(f"the chat template is no valid Jinja: {error}") from error
        self._special_tokens = special_tokens

    @classmethod
    def load(cls, folder: Path) -> ChatTemplate | None:
        """The folder's template; None when the model is not for chat. Raises UnsupportedModel."""
        path = folder / "tokenizer_config.json"
        config = json.loads(path.read_text()) if path.exists() else {}
        own = folder / "chat_template.jinja"
        source = own.read_text() if own.exists() else config.get("chat_template")
        if not isinstance(source, str):
            return None
        special = {name: _content(config.get(name)) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
        return cls(source, {name: token for name, token in special.items() if token is not None})

    def render(self, variables: Mapping[str, Any]) -> str:
        """The prompt. variables: `messages`, `add_generation_prompt` and what else the template knows. Raises TemplateRefused with the template's own words or Jinja's."""
        try:
            return self._template.render({**self._special_tokens, **variables})
        except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise TemplateRefused(f"the chat template does not take these messages: {error}") from error


def _content(token: Any) -> str | None:
    """A special token is written as text, or as an object that has it as `content`."""
    return token.get("content") if isinstance(token, dict) else token


def _refuse(message: str) -> NoReturn:
    raise TemplateRefused(message)


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _to_json(value: Any, indent: int | None = None) -> str:
    """As the original's filter: without HTML escapes."""
    return json.dumps(value, ensure_ascii=False, indent=indent)
