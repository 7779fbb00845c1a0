"""What may be asked of the engine: OpenAI's request bodies, with vLLM's additions. Unknown fields are ignored."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pivot.mlnode.engines.embedded.sampling import Sampling

MAX_CHOICES = 16
MAX_TOP_LOGPROBS = 20
MAX_STOP_STRINGS = 16
MAX_STOP_LENGTH = 1_000
MAX_TEMPERATURE = 2.0
MAX_PENALTY = 2.0
MAX_MESSAGES = 4_096
MAX_PROMPTS = 64
DEFAULT_COMPLETION_TOKENS = 16

TopCount = Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)]
TokenId = Annotated[int, Field(ge=0)]
TokenCount = Annotated[int, Field(ge=0)]
StopString = Annotated[str, Field(min_length=1, max_length=MAX_STOP_LENGTH)]
Penalty = Annotated[float, Field(ge=-MAX_PENALTY, le=MAX_PENALTY)]


class EngineRequest(BaseModel):
    """What is asked of the engine."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        """Clients in some languages write every field that they know."""
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data


class StreamOptions(EngineRequest):
    """How a stream is told."""

    include_usage: bool = False
    continuous_usage_stats: bool = False
    """Tell the usage so far in every chunk, too."""


class GenerationRequest(EngineRequest):
    """What chats and completions share. What is None is as the model's `generation_config.json` has it."""

    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] = 1
    max_tokens: TokenCount | None = None
    stop: Annotated[list[StopString], Field(max_length=MAX_STOP_STRINGS)] = []
    stop_token_ids: Annotated[list[TokenId], Field(max_length=MAX_STOP_STRINGS)] = []
    ignore_eos: bool = False
    temperature: Annotated[float, Field(ge=0, le=MAX_TEMPERATURE)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0, le=MAX_PENALTY)] | None = None
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    skip_special_tokens: bool = True
    return_token_ids: bool = False
    """Tell the ids of prompt and answer."""
    return_tokens_as_token_ids: bool = False
    """In log-probabilities, write each token as `token_id:{id}`."""
    prompt_logprobs: TopCount | None = None
    """Tell the log-probability of each token of the prompt, with so many of the most likely beside it."""

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _streams_tell_no_prompt(self) -> Self:
        if self.stream and self.prompt_logprobs is not None:
            raise ValueError("prompt_logprobs are not available when stream is true")
        if self.stream_options and not self.stream:
            raise ValueError("stream_options may only be set when stream is true")
        return self

    @property
    @abstractmethod
    def top(self) -> int | None:
        """How many of the most likely tokens to tell beside each generated one; None to tell no log-probabilities."""

    @property
    def prompt_top(self) -> int | None:
        """How many of the most likely tokens to find beside each token of the prompt; None to score no prompt."""
        return self.prompt_logprobs

    @property
    @abstractmethod
    def token_limit(self) -> int | None:
        """Most tokens to generate; None for as many as the context holds."""

    def sampling(self, defaults: Sampling, choice: int) -> Sampling:
        """How this request's tokens are chosen; each choice of a seeded request has a seed of its own."""
        return Sampling(
            temperature=defaults.temperature if self.temperature is None else self.temperature,
            top_p=defaults.top_p if self.top_p is None else self.top_p,
            top_k=defaults.top_k if self.top_k is None else max(0, self.top_k),
            min_p=self.min_p,
            seed=None if self.seed is None else self.seed + choice,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            repetition_penalty=defaults.repetition_penalty
            if self.repetition_penalty is None
            else self.repetition_penalty,
        )


class TextPart(EngineRequest):
    """A piece of a message's content."""

    type: str
    text: str

    @field_validator("type")
    @classmethod
    def _is_text(cls, value: str) -> str:
        if value != "text":
            raise ValueError(f"this model takes text alone, no {value}")
        return value


class ChatMessage(BaseModel):
    """One message; fields that we do not know go to the chat template as they are."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: str | list[TextPart] | None = None

    def for_template(self) -> dict[str, Any]:
        """As templates take it: the parts of a content joined by line breaks."""
        parts = self.content if isinstance(self.content, list) else []
        content = self.content if isinstance(self.content, str) else "\n".join(part.text for part in parts)
        return self.model_dump() | {"content": content}


class ChatRequest(GenerationRequest):
    """Body of `/v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: TokenCount | None = None
    logprobs: bool | None = None
    top_logprobs: TopCount | None = None
    add_generation_prompt: bool = True
    chat_template_kwargs: dict[str, Any] = {}
    tools: list[Any] | None = None
    response_format: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _only_what_is_offered(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("when using top_logprobs, logprobs must be set to true")
        if self.tools:
            raise ValueError("tools are not offered by this engine")
        if self.response_format and self.response_format.get("type") != "text":
            raise ValueError("response_format other than text is not offered by this engine")
        return self

    @property
    def top(self) -> int | None:
        """See `GenerationRequest.top`."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def token_limit(self) -> int | None:
        """See `GenerationRequest.token_limit`; `max_completion_tokens` is the newer name and goes first."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


class CompletionRequest(GenerationRequest):
    """Body of `/v1/completions`. A prompt is text or token ids; there may be several."""

    prompt: str | list[TokenId] | list[str] | list[list[TokenId]]
    logprobs: TopCount | None = None
    echo: bool = False
    suffix: str | None = None
    add_special_tokens: bool = True

    @model_validator(mode="after")
    def _only_what_is_offered(self) -> Self:
        if self.suffix:
            raise ValueError("suffix is not offered by this engine")
        if self.stream and self.echo and self.logprobs is not None:
            raise ValueError("echo with logprobs is not available when stream is true")
        if len(self.prompts) > MAX_PROMPTS or not self.prompts:
            raise ValueError(f"prompt must be 1 to {MAX_PROMPTS} prompts")
        return self

    @property
    def prompts(self) -> list[str | list[int]]:
        """The prompts one by one."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        ids = [part for part in self.prompt if isinstance(part, int)]
        return [ids] if ids else [part for part in self.prompt if not isinstance(part, int)]

    @property
    def top(self) -> int | None:
        """See `GenerationRequest.top`."""
        return self.logprobs

    @property
    def prompt_top(self) -> int | None:
        """See `GenerationRequest.prompt_top`: an echoed prompt is scored like the answer."""
        echoed = self.logprobs if self.echo else None
        wanted = [count for count in (self.prompt_logprobs, echoed) if count is not None]
        return max(wanted, default=None)

    @property
    def token_limit(self) -> int | None:
        """See `GenerationRequest.token_limit`."""
        return DEFAULT_COMPLETION_TOKENS if self.max_tokens is None else self.max_tokens


class TokenizeRequest(EngineRequest):
    """Body of `/tokenize`: a prompt, or messages."""

    model: str | None = None
    prompt: str | None = None
    messages: list[ChatMessage] | None = None
    add_generation_prompt: bool = True
    add_special_tokens: bool = True
    """Of a prompt; a chat template writes its own."""
    chat_template_kwargs: dict[str, Any] = {}
    return_token_strs: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either prompt or messages")
        return self


class DetokenizeRequest(EngineRequest):
    """Body of `/detokenize`."""

    model: str | None = None
    tokens: list[TokenId]
