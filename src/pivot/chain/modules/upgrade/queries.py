"""`cosmos.upgrade.v1beta1.Query`."""

from pkgutil import iter_modules

from cosmos.upgrade.v1beta1 import query_pb2
from cosmos.upgrade.v1beta1.upgrade_pb2 import ModuleVersion

from pivot.chain import modules
from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.gov.authority import AUTHORITY
from pivot.chain.modules.upgrade.state import applied_height, plan
from pivot.chain.types import View

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]
FIRST_VERSION = 1
MODULE_VERSIONS = {module.name: FIRST_VERSION for module in iter_modules(modules.__path__)}
"""Of the rows that each module writes. An upgrade that changes a module's rows counts it up here."""


def _current(view: View, _: query_pb2.QueryCurrentPlanRequest) -> query_pb2.QueryCurrentPlanResponse:
    return query_pb2.QueryCurrentPlanResponse(plan=plan(view.state))


def _applied(view: View, request: query_pb2.QueryAppliedPlanRequest) -> query_pb2.QueryAppliedPlanResponse:
    return query_pb2.QueryAppliedPlanResponse(height=applied_height(view.state, request.name))


def _versions(_: View, request: query_pb2.QueryModuleVersionsRequest) -> query_pb2.QueryModuleVersionsResponse:
    wanted = request.module_name
    if wanted and wanted not in MODULE_VERSIONS:
        raise SdkError(SdkCode.NOT_FOUND, f"module_name: there is no module {wanted[:40]!r}")
    return query_pb2.QueryModuleVersionsResponse(
        module_versions=[
            ModuleVersion(name=name, version=version)
            for name, version in sorted(MODULE_VERSIONS.items())
            if wanted in ("", name)
        ]
    )


def _authority(_: View, __: query_pb2.QueryAuthorityRequest) -> query_pb2.QueryAuthorityResponse:
    return query_pb2.QueryAuthorityResponse(address=AUTHORITY)


QUERIES: list[QueryHandler] = [
    query(SERVICE, "CurrentPlan", _current),
    query(SERVICE, "AppliedPlan", _applied),
    query(SERVICE, "ModuleVersions", _versions),
    query(SERVICE, "Authority", _authority),
]
