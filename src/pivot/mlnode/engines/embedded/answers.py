"""How answers look: OpenAI's bodies and stream chunks for chats and completions, with vLLM's additions."""

from __future__ import annotations

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from typing import Any

from pivot.mlnode.engines.embedded.batch import Sequence, Step
from pivot.mlnode.engines.embedded.completion import Completion
from pivot.mlnode.engines.embedded.requests import ChatRequest, CompletionRequest, GenerationRequest
from pivot.mlnode.engines.embedded.sampling import Scored
from pivot.mlnode.engines.embedded.tokenizer import Tokenizer

Json = dict[str, Any]


@dataclass
class Choice:
    """One answer as it grows."""

    index: int
    sequence: Sequence
    completion: Completion
    scores: list[Scored] = field(default_factory=list)
    finish: str | None = None
    offset: int = 0
    """Length of the tokens told so far, where a stream tells offsets."""

    def take(self, step: Step) -> str:
        """Add a step. Returns the text that may be shown; the sequence is cancelled when a stop string has ended it."""
        shown = ""
        if step.token:
            self.scores.append(step.token)
            shown = self.completion.push(step.token.id)
        if self.completion.stopped_by:
            self.sequence.cancelled = True
            self.finish = "stop"
        elif step.finish:
            shown += self.completion.flush()
            self.finish = "stop" if self.completion.stopped_by else step.finish
        return shown


class Answer(ABC):
    """The shape of one request's answer."""

    kind: str
    chunk_kind: str
    id_prefix: str

    def __init__(self, request: GenerationRequest, model: str, tokenizer: Tokenizer, choices: Many[Choice]) -> None:
        self._request = request
        self._tokenizer = tokenizer
        self._choices = choices
        self._head = {"id": f"{self.id_prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def whole(self) -> Json:
        """The body of an answer that is not streamed."""
        choices = [self._choice(choice) | self._end(choice) for choice in self._choices]
        return self._head | {"object": self.kind, "choices": choices, "usage": self._usage()} | self._of_prompt()

    def opening(self) -> list[Json]:
        """The chunks before the first token."""
        return []

    def chunk(self, choice: Choice, shown: str, step: Step) -> Json | None:
        """The chunk that one step is worth; None when it shows nothing new."""
        request = self._request
        if not (shown or choice.finish or request.top is not None or request.return_token_ids):
            return None
        part = self._part(choice, shown, [step.token] if step.token else []) | self._end(choice)
        return self._chunk([part])

    def last(self) -> Json | None:
        """The chunk with the usage, if it was asked for."""
        options = self._request.stream_options
        return self._chunk([]) | {"usage": self._usage()} if options and options.include_usage else None

    @abstractmethod
    def _choice(self, choice: Choice) -> Json: ...

    @abstractmethod
    def _part(self, choice: Choice, shown: str, tokens: Many[Scored]) -> Json: ...

    def _of_prompt(self) -> Json:
        return {}

    def _chunk(self, choices: list[Json]) -> Json:
        options = self._request.stream_options
        told = {"usage": self._usage()} if options and options.include_usage and options.continuous_usage_stats else {}
        return self._head | {"object": self.chunk_kind, "choices": choices} | told

    def _end(self, choice: Choice) -> Json:
        """Why an answer ended; the reason names what of the request's own did it."""
        reason: str | int | None = choice.completion.stopped_by
        if reason is None and choice.finish == "stop" and choice.scores[-1].id in self._request.stop_token_ids:
            reason = choice.scores[-1].id
        return {"finish_reason": choice.finish, "stop_reason": reason}

    def _usage(self) -> Json:
        prompt = sum(len(choice.sequence.prompt) for choice in self._choices[:: self._request.n])
        completion = sum(len(choice.scores) for choice in self._choices)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def _token(self, token: int) -> str:
        return f"token_id:{token}" if self._request.return_tokens_as_token_ids else self._tokenizer.text_of(token)

    def _prompt_logprobs(self, sequence: Sequence) -> list[Json | None] | None:
        """vLLM's form: for each token but the first, by id, its own score and those of the most likely ones."""
        count = self._request.prompt_logprobs
        if count is None:
            return None
        return [None, *(self._ranked(score, count) for score in sequence.prompt_scores)]

    def _ranked(self, score: Scored, count: int) -> Json:
        scores = [(token, logprob, rank) for rank, (token, logprob) in enumerate(score.top[:count], 1)]
        scores.append((score.id, score.logprob, score.rank))
        return {
            str(token): {"logprob": logprob, "rank": rank, "decoded_token": self._tokenizer.text_of(token)}
            for token, logprob, rank in scores
        }


class ChatAnswer(Answer):
    """Of `/v1/chat/completions`."""

    kind = "chat.completion"
    chunk_kind = "chat.completion.chunk"
    id_prefix = "chatcmpl"
    _request: ChatRequest

    def opening(self) -> list[Json]:
        """Each choice says first who speaks; the first chunk carries the prompt's ids if they were asked for."""
        delta = {"role": "assistant", "content": ""}
        parts = [
            {"index": choice.index, "delta": delta, "logprobs": None, "finish_reason": None} for choice in self._choices
        ]
        chunks = [self._chunk([part]) for part in parts]
        if self._request.return_token_ids:
            chunks[0]["prompt_token_ids"] = list(self._choices[0].sequence.prompt)
        return chunks

    def _choice(self, choice: Choice) -> Json:
        message = {"role": "assistant", "content": choice.completion.text}
        return {"index": choice.index, "message": message} | self._detail(choice.scores)

    def _part(self, choice: Choice, shown: str, tokens: Many[Scored]) -> Json:
        return {"index": choice.index, "delta": {"content": shown}} | self._detail(tokens)

    def _of_prompt(self) -> Json:
        sequence = self._choices[0].sequence
        fields: Json = {"prompt_logprobs": self._prompt_logprobs(sequence)}
        if self._request.return_token_ids:
            fields["prompt_token_ids"] = list(sequence.prompt)
        return fields

    def _detail(self, scores: Many[Scored]) -> Json:
        content = None if self._request.top is None else {"content": [self._logprob(score) for score in scores]}
        fields: Json = {"logprobs": content}
        if self._request.return_token_ids:
            fields["token_ids"] = [score.id for score in scores]
        return fields

    def _logprob(self, score: Scored) -> Json:
        entry = self._entry(score.id, score.logprob)
        return entry | {"top_logprobs": [self._entry(token, logprob) for token, logprob in score.top]}

    def _entry(self, token: int, logprob: float) -> Json:
        return {"token": self._token(token), "logprob": logprob, "bytes": list(self._tokenizer.bytes_of(token))}


class CompletionAnswer(Answer):
    """Of `/v1/completions`."""

    kind = "text_completion"
    chunk_kind = "text_completion"
    id_prefix = "cmpl"
    _request: CompletionRequest

    def opening(self) -> list[Json]:
        """The prompts' texts, when they are to be repeated."""
        if not self._request.echo:
            return []
        return [
            self._chunk([self._part(choice, self._prompt_text(choice), []) | self._end(choice)])
            for choice in self._choices
        ]

    def _choice(self, choice: Choice) -> Json:
        prompt = choice.sequence.prompt
        if self._request.echo:
            fields = self._detail(choice.scores, prompt[0], choice.sequence.prompt_scores)
            fields["text"] = self._prompt_text(choice) + choice.completion.text
        else:
            fields = self._detail(choice.scores) | {"text": choice.completion.text}
        if self._request.return_token_ids:
            fields["prompt_token_ids"] = list(prompt)
        return {"index": choice.index, "prompt_logprobs": self._prompt_logprobs(choice.sequence)} | fields

    def _part(self, choice: Choice, shown: str, tokens: Many[Scored]) -> Json:
        fields = {"index": choice.index, "text": shown} | self._detail(tokens, offset=choice.offset)
        if self._request.return_token_ids and len(choice.scores) == len(tokens):  # the first, as in vLLM
            fields["prompt_token_ids"] = list(choice.sequence.prompt)
        choice.offset += sum(len(self._token(score.id)) for score in tokens)
        return fields

    def _prompt_text(self, choice: Choice) -> str:
        return self._tokenizer.decode(choice.sequence.prompt, skip_special=self._request.skip_special_tokens)

    def _detail(
        self, scores: Many[Scored], first: int | None = None, of_prompt: Many[Scored] = (), *, offset: int = 0
    ) -> Json:
        """first: the prompt's first token, of which nothing is known. of_prompt: the scores of those behind it."""
        fields: Json = {"logprobs": None}
        if self._request.return_token_ids:
            fields["token_ids"] = [score.id for score in scores]
        if self._request.top is None:
            return fields
        known: list[Scored] = [*of_prompt, *scores]
        unknown = [] if first is None else [None]
        tokens = ([] if first is None else [self._token(first)]) + [self._token(score.id) for score in known]
        offsets = [offset]
        for token in tokens:
            offsets.append(offsets[-1] + len(token))
        fields["logprobs"] = {
            "tokens": tokens,
            "token_logprobs": [*unknown, *(score.logprob for score in known)],
            "top_logprobs": [*unknown, *(self._top(score) for score in known)],
            "text_offset": offsets[:-1],
        }
        return fields

    def _top(self, score: Scored) -> Json:
        entries = {self._token(token): logprob for token, logprob in score.top[: self._request.top]}
        return entries | {self._token(score.id): score.logprob}
