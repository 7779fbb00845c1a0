"""Commits and votes in the genesis of an exported chain."""

from typing import Any

from google.protobuf import json_format

from pivot.chain.modules.poc.state import kept_commits, kept_votes, put_commit, put_votes
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.types_pb2 import PocCommit, PocVotes


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the commits and votes of all epochs that are kept. Raises json_format.ParseError."""
    for entry in document.get("commits", []):
        put_commit(block.state, json_format.ParseDict(entry, PocCommit()))
    for entry in document.get("votes", []):
        put_votes(block.state, json_format.ParseDict(entry, PocVotes()))


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    return {
        name: [json_format.MessageToDict(each, preserving_proto_field_name=True) for each in listed]
        for name, listed in (("commits", kept_commits(state)), ("votes", kept_votes(state)))
    }
