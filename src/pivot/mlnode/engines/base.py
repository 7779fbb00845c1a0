"""What the ML node asks of an engine. `tests/mlnode/engines/test_contract.py` holds every engine to it."""

from __future__ import annotations

from typing import Protocol

from pivot.protocol.mlnode_api import InferenceStatus, InferenceUp


class EngineFailed(Exception):
    """The engine cannot serve what was asked for; the sentence says why."""


class Engine(Protocol):
    """Something that serves one model at a time, as OpenAI-compatible HTTP on the node's inference port."""

    @property
    def url(self) -> str:
        """Where the model is served while `alive`."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the engine has come up and has not ended."""
        ...

    @property
    def status(self) -> InferenceStatus:
        """What serves, or how far its start has come; cheap enough to be asked at any time."""
        ...

    async def start(self, request: InferenceUp) -> None:
        """Serve this model. Returns once `GET {url}/health` answers 200.

        The same request again changes nothing while the engine is alive, and wakes a parked one; any other ends what runs
        or is parked first.
        Raises EngineFailed; then, and also when cancelled, nothing is left running.
        """
        ...

    async def park(self) -> None:
        """Free the port and the devices' memory, but keep what makes the next start of the same request short.

        An engine that cannot do so, or does not succeed, ends as by `stop`; its status tells which.
        """
        ...

    async def stop(self) -> None:
        """End the engine, also a parked one, and free its port and all memory; does nothing when none runs."""
        ...

    async def broken(self) -> str:
        """Wait until a started engine ends by itself. Returns why, in a sentence."""
        ...
