"""What clients find out by asking: interfaces, messages, queries, files."""

from typing import Any

import pytest
from google.protobuf import descriptor_pool

from pivot.chain.errors import Rejection, SdkCode
from pivot.chain.gateway.reflection import MESSAGE_INTERFACE, REFLECTION, implementations
from pivot.chain.registry import MESSAGES, QUERIES
from pivot.chain.types import View
from tests.chain.chain import plain_block

_LINES = {line.method.full_name: line for line in REFLECTION}


def ask(method: str, **fields: Any) -> Any:
    line = _LINES[method]
    block = plain_block()
    return line.answer(View(block.state, block.chain_id, block.height), line.request(**fields))


def test_interfaces_list_what_may_stand_in_an_any() -> None:
    service = "cosmos.base.reflection.v1beta1.ReflectionService"
    names = ask(f"{service}.ListAllInterfaces").interface_names
    assert {MESSAGE_INTERFACE, "cosmos.crypto.PubKey", "cosmos.auth.v1beta1.AccountI"} <= set(names)
    found = ask(f"{service}.ListImplementations", interface_name=MESSAGE_INTERFACE)
    assert found.implementation_message_names == sorted(MESSAGES.all())
    for name in names:
        for url in ask(f"{service}.ListImplementations", interface_name=name).implementation_message_names:
            assert descriptor_pool.Default().FindMessageTypeByName(url.removeprefix("/"))
    with pytest.raises(Rejection, match="no interface") as refusal:
        ask(f"{service}.ListImplementations", interface_name="colour")
    assert refusal.value.code == SdkCode.NOT_FOUND


def test_the_application_describes_itself() -> None:
    def told(what: str) -> Any:
        return ask(f"cosmos.base.reflection.v2alpha1.ReflectionService.Get{what}Descriptor")

    assert told("Chain").chain.id == "pivot-test-1"
    assert told("Configuration").config.bech32_account_address_prefix == "gonka"
    assert [mode.name for mode in told("Authn").authn.sign_modes] == [
        "SIGN_MODE_DIRECT",
        "SIGN_MODE_LEGACY_AMINO_JSON",
    ]
    assert [each.msg_type_url for each in told("Tx").tx.msgs] == sorted(MESSAGES.all())
    paths = [
        each.full_query_path for service in told("QueryServices").queries.query_services for each in service.methods
    ]
    assert sorted(paths) == sorted(QUERIES.all())
    interfaces = told("Codec").codec.interfaces
    assert {
        each.fullname: [one.type_url for one in each.interface_implementers] for each in interfaces
    } == implementations()


def test_the_files_are_complete_and_in_an_order_in_which_they_can_be_loaded() -> None:
    pool = descriptor_pool.DescriptorPool()
    for file in ask("cosmos.reflection.v1.ReflectionService.FileDescriptors").files:
        pool.AddSerializedFile(file.SerializeToString())
    for url in MESSAGES.all():
        assert pool.FindMessageTypeByName(url.removeprefix("/"))
    for handler in QUERIES.all().values():
        assert pool.FindServiceByName(handler.method.containing_service.full_name)
