"""Requests of the engine to methods of the application, and their answers back."""

from collections.abc import Callable, Mapping
from typing import Any

from tendermint.abci import types_pb2 as abci

from pivot.chain.application import Application
from pivot.chain.server.state_sync import StateSync

Answer = Callable[[Any], Any]


def answers(application: Application, state_sync: StateSync) -> Mapping[str, Answer]:
    """What answers each kind of request. There are no vote extensions: none is made, none accepted."""
    return {
        "echo": lambda request: abci.ResponseEcho(message=request.message),
        "flush": lambda _: abci.ResponseFlush(),
        "info": application.info,
        "init_chain": application.init_chain,
        "query": application.query,
        "check_tx": application.check_tx,
        "prepare_proposal": application.prepare_proposal,
        "process_proposal": application.process_proposal,
        "finalize_block": application.finalize_block,
        "commit": application.commit,
        "list_snapshots": state_sync.list_snapshots,
        "offer_snapshot": state_sync.offer_snapshot,
        "load_snapshot_chunk": state_sync.load_snapshot_chunk,
        "apply_snapshot_chunk": state_sync.apply_snapshot_chunk,
        "extend_vote": lambda _: abci.ResponseExtendVote(),
        "verify_vote_extension": lambda request: abci.ResponseVerifyVoteExtension(
            status=abci.ResponseVerifyVoteExtension.REJECT
            if request.vote_extension
            else abci.ResponseVerifyVoteExtension.ACCEPT
        ),
    }


def wrap(kind: str, answer: Any) -> bytes:
    """An answer as the engine reads it. An empty one must be named, too."""
    response = abci.Response()
    member = getattr(response, kind)
    member.SetInParent()
    member.CopyFrom(answer)
    return bytes(response.SerializeToString())


def exception(text: str) -> bytes:
    """What the engine is told when the application cannot go on."""
    return bytes(abci.Response(exception=abci.ResponseException(error=text)).SerializeToString())
