"""`cosmos.evidence.v1beta1.Query`: what was found out about validators."""

from cosmos.evidence.v1beta1 import query_pb2
from google.protobuf.any_pb2 import Any as AnyMessage

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.evidence.state import EVIDENCE, STORE, evidence
from pivot.chain.pagination import list_page
from pivot.chain.types import View

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
HASH_LENGTH = 32


def _evidence(view: View, request: query_pb2.QueryEvidenceRequest) -> query_pb2.QueryEvidenceResponse:
    """One by its hash: hexadecimal, or bytes as older clients send it."""
    try:
        digest = bytes.fromhex(request.hash) or request.evidence_hash
    except ValueError:
        digest = b""
    if len(digest) != HASH_LENGTH:
        raise SdkError(SdkCode.INVALID_REQUEST, f"hash: a hash has {2 * HASH_LENGTH} hexadecimal digits")
    found = evidence(view.state, digest)
    if found is None:
        raise SdkError(SdkCode.NOT_FOUND, f"there is no evidence {digest.hex()}")
    return query_pb2.QueryEvidenceResponse(evidence=found)


def _all(view: View, request: query_pb2.QueryAllEvidenceRequest) -> query_pb2.QueryAllEvidenceResponse:
    found, page = list_page(view.state, STORE, EVIDENCE, request.pagination, lambda _, row: AnyMessage.FromString(row))
    return query_pb2.QueryAllEvidenceResponse(evidence=found, pagination=page)


QUERIES: list[QueryHandler] = [query(SERVICE, "Evidence", _evidence), query(SERVICE, "AllEvidence", _all)]
