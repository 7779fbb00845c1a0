"""Accounts as clients and genesis files read them: a module's says so, and so does one in which coins are locked."""

from cosmos.auth.v1beta1.auth_pb2 import ModuleAccount
from google.protobuf.any_pb2 import Any as AnyMessage

from pivot.chain.modules.auth.state import Account, published_account
from pivot.chain.modules.bank.state import MODULE_ACCOUNTS
from pivot.chain.modules.vesting.state import published_vesting
from pivot.chain.types import Reader
from pivot.protocol.messages import pack

MODULE_NAMES: dict[str, str] = {address: name for name, address in MODULE_ACCOUNTS.items()}


def shown(state: Reader, found: Account) -> AnyMessage:
    """An account, in an Any of its type."""
    published = published_account(found)
    name = MODULE_NAMES.get(found.address)
    if name is not None:
        return pack(ModuleAccount(base_account=published, name=name))
    return pack(published_vesting(state, published) or published)
