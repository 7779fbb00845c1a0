"""`cosmos.mint.v1beta1.Query`: explorers ask for the inflation when they start. No coins are made after the genesis."""

from cosmos.mint.v1beta1 import query_pb2

from pivot.chain.handlers import QueryHandler, query
from pivot.chain.types import View

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
NONE = b"0"
"""A decimal number, as it travels."""


def _inflation(_: View, __: query_pb2.QueryInflationRequest) -> query_pb2.QueryInflationResponse:
    return query_pb2.QueryInflationResponse(inflation=NONE)


def _annual_provisions(_: View, __: query_pb2.QueryAnnualProvisionsRequest) -> query_pb2.QueryAnnualProvisionsResponse:
    return query_pb2.QueryAnnualProvisionsResponse(annual_provisions=NONE)


QUERIES: list[QueryHandler] = [
    query(SERVICE, "Inflation", _inflation),
    query(SERVICE, "AnnualProvisions", _annual_provisions),
]
