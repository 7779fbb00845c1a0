"""What this chain understands, for clients that find their way by asking: `cosmos.base.reflection.v1beta1` and `v2alpha1`, and
`cosmos.reflection.v1`. All of it follows from the tables of messages and queries.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
from cosmos.auth.v1beta1.auth_pb2 import BaseAccount, ModuleAccount
from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization
from cosmos.bank.v1beta1.authz_pb2 import SendAuthorization
from cosmos.base.reflection.v1beta1 import reflection_pb2 as by_interface
from cosmos.base.reflection.v2alpha1 import reflection_pb2 as application
from cosmos.crypto.ed25519 import keys_pb2 as ed25519
from cosmos.crypto.multisig.keys_pb2 import LegacyAminoPubKey
from cosmos.crypto.secp256k1 import keys_pb2 as secp256k1
from cosmos.feegrant.v1beta1.feegrant_pb2 import AllowedMsgAllowance, BasicAllowance, PeriodicAllowance
from cosmos.reflection.v1 import reflection_pb2 as files
from cosmos.tx.signing.v1beta1.signing_pb2 import SignMode
from cosmos.tx.v1beta1.tx_pb2 import Tx
from cosmos.vesting.v1beta1 import vesting_pb2 as vesting
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import Message

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.registry import MESSAGES, QUERIES
from pivot.chain.types import View
from pivot.primitives.addresses import ACCOUNT_PREFIX
from pivot.protocol.messages import type_url

MESSAGE_INTERFACE = "cosmos.base.v1beta1.Msg"
SIGN_MODES = (SignMode.SIGN_MODE_DIRECT, SignMode.SIGN_MODE_LEGACY_AMINO_JSON)
_KINDS: Mapping[str, Sequence[type[Message]]] = {
    "cosmos.auth.v1beta1.AccountI": (
        BaseAccount,
        ModuleAccount,
        vesting.ContinuousVestingAccount,
        vesting.DelayedVestingAccount,
        vesting.PeriodicVestingAccount,
        vesting.PermanentLockedAccount,
    ),
    "cosmos.authz.v1beta1.Authorization": (GenericAuthorization, SendAuthorization),
    "cosmos.crypto.PubKey": (ed25519.PubKey, secp256k1.PubKey, LegacyAminoPubKey),
    "cosmos.feegrant.v1beta1.FeeAllowanceI": (BasicAllowance, PeriodicAllowance, AllowedMsgAllowance),
}
"""What may stand in an Any, but for messages."""


def implementations() -> dict[str, list[str]]:
    """Type URLs under the names of the interfaces that stand in an Any."""
    kinds = {name: [type_url(kind) for kind in each] for name, each in _KINDS.items()}
    return kinds | {MESSAGE_INTERFACE: sorted(MESSAGES.all())}


@cache
def file_descriptors() -> tuple[FileDescriptorProto, ...]:
    """The proto files of all messages and queries, and of those that they import; an imported one comes first."""
    found: dict[str, FileDescriptorProto] = {}
    for file in _files():
        _collect(file, found)
    return tuple(found.values())


def _files() -> Iterable[Any]:
    kinds: list[Any] = [handler.type for handler in MESSAGES.all().values()]
    kinds += [kind for each in _KINDS.values() for kind in each]
    yield Tx.DESCRIPTOR.file
    yield from (kind.DESCRIPTOR.file for kind in kinds)
    yield from (handler.method.containing_service.file for handler in QUERIES.all().values())


def _collect(file: FileDescriptor, found: dict[str, FileDescriptorProto]) -> None:
    if file.name in found:
        return
    for imported in file.dependencies:
        _collect(imported, found)
    written = FileDescriptorProto()
    file.CopyToProto(written)
    found[file.name] = written


def _list_interfaces(_: View, __: by_interface.ListAllInterfacesRequest) -> by_interface.ListAllInterfacesResponse:
    return by_interface.ListAllInterfacesResponse(interface_names=sorted(implementations()))


def _list_implementations(
    _: View, request: by_interface.ListImplementationsRequest
) -> by_interface.ListImplementationsResponse:
    found = implementations().get(request.interface_name)
    if found is None:
        raise SdkError(SdkCode.NOT_FOUND, f"interface_name: there is no interface {request.interface_name[:80]!r}")
    return by_interface.ListImplementationsResponse(implementation_message_names=found)


def _sign_modes(_: View, __: Any) -> application.GetAuthnDescriptorResponse:
    modes = [application.SigningModeDescriptor(name=SignMode.Name(mode), number=mode) for mode in SIGN_MODES]
    return application.GetAuthnDescriptorResponse(authn=application.AuthnDescriptor(sign_modes=modes))


def _chain(view: View, _: Any) -> application.GetChainDescriptorResponse:
    return application.GetChainDescriptorResponse(chain=application.ChainDescriptor(id=view.chain_id))


def _codec(_: View, __: Any) -> application.GetCodecDescriptorResponse:
    interfaces = [
        application.InterfaceDescriptor(
            fullname=name,
            interface_implementers=[
                application.InterfaceImplementerDescriptor(fullname=url.removeprefix("/"), type_url=url) for url in urls
            ],
        )
        for name, urls in sorted(implementations().items())
    ]
    return application.GetCodecDescriptorResponse(codec=application.CodecDescriptor(interfaces=interfaces))


def _configuration(_: View, __: Any) -> application.GetConfigurationDescriptorResponse:
    told = application.ConfigurationDescriptor(bech32_account_address_prefix=ACCOUNT_PREFIX)
    return application.GetConfigurationDescriptorResponse(config=told)


def _query_services(_: View, __: Any) -> application.GetQueryServicesDescriptorResponse:
    services: dict[str, application.QueryServiceDescriptor] = {}
    for path, handler in sorted(QUERIES.all().items()):
        name = handler.method.containing_service.full_name
        service = services.setdefault(name, application.QueryServiceDescriptor(fullname=name, is_module=True))
        service.methods.add(name=handler.method.name, full_query_path=path)
    told = application.QueryServicesDescriptor(query_services=list(services.values()))
    return application.GetQueryServicesDescriptorResponse(queries=told)


def _transaction(_: View, __: Any) -> application.GetTxDescriptorResponse:
    messages = [application.MsgDescriptor(msg_type_url=url) for url in sorted(MESSAGES.all())]
    return application.GetTxDescriptorResponse(
        tx=application.TxDescriptor(fullname=Tx.DESCRIPTOR.full_name, msgs=messages)
    )


def _all_files(_: View, __: files.FileDescriptorsRequest) -> files.FileDescriptorsResponse:
    return files.FileDescriptorsResponse(files=file_descriptors())


_OF_APPLICATION: Mapping[str, Callable[[View, Any], Message]] = {
    "GetAuthnDescriptor": _sign_modes,
    "GetChainDescriptor": _chain,
    "GetCodecDescriptor": _codec,
    "GetConfigurationDescriptor": _configuration,
    "GetQueryServicesDescriptor": _query_services,
    "GetTxDescriptor": _transaction,
}
_INTERFACES = by_interface.DESCRIPTOR.services_by_name["ReflectionService"]
_APPLICATION = application.DESCRIPTOR.services_by_name["ReflectionService"]
_FILES = files.DESCRIPTOR.services_by_name["ReflectionService"]

REFLECTION: list[QueryHandler] = [
    query(_INTERFACES, "ListAllInterfaces", _list_interfaces),
    query(_INTERFACES, "ListImplementations", _list_implementations),
    *(query(_APPLICATION, name, answer) for name, answer in _OF_APPLICATION.items()),
    query(_FILES, "FileDescriptors", _all_files),
]
