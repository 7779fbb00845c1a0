"""Registration, consensus keys, gateway accounts, hardware."""

import pytest
from google.protobuf.duration_pb2 import Duration
from tendermint.types.params_pb2 import ConsensusParams, EvidenceParams

from pivot.chain.errors import NetworkCode, Rejection, SdkCode
from pivot.chain.modules.auth.state import account, set_public_key
from pivot.chain.modules.authz.state import Permission, grant
from pivot.chain.modules.params.state import set_consensus_params
from pivot.chain.modules.participants import consensus_keys
from pivot.chain.modules.participants import genesis as participants_genesis
from pivot.chain.modules.participants import state as participants
from pivot.chain.modules.participants.invariants import check_consensus_keys, check_node_numbers
from pivot.chain.modules.participants.messages import MAX_URL_LENGTH
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Block
from pivot.primitives.addresses import consensus_address
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgSetGateway,
    MsgSubmitHardwareDiff,
    MsgSubmitNewParticipant,
    MsgSubmitNewUnfundedParticipant,
)
from pivot.protocol.generated.inference.inference.types_pb2 import (
    Hardware,
    HardwareNode,
    HardwareNodes,
    Participant,
    ParticipantStatus,
)
from pivot.protocol.poc import MAX_NODES_PER_HOST
from pivot.protocol.signing import gateway_sign_bytes, registration_sign_bytes
from pivot.protocol.sprint import MAX_NODE_NUMBER
from pivot.protocol.transactions import NANOSECONDS
from tests.chain.chain import BLOCK_INTERVAL, CHAIN_ID, consensus_key, key, next_block
from tests.chain.modules.network import MODELS, Network, encoded, node, registration

DAVE = key("dave").address
START = "/inference.inference.MsgStartInference"


def forwarded(name: str, *, by: str = "alice", host: bool = True, **fields: str) -> MsgSubmitNewUnfundedParticipant:
    """A registration that another host forwards."""
    own = registration(name, **fields) if host else MsgSubmitNewParticipant()
    return MsgSubmitNewUnfundedParticipant(
        creator=key(by).address,
        address=key(name).address,
        url=own.url,
        pub_key=encoded(key(name).public_key),
        validator_key=own.validator_key,
        registration_signature=own.registration_signature,
    )


def refused(network: Network, message: object, code: int, words: str) -> None:
    """The message is refused with this code and sentence, and nothing has changed."""
    before = network.state.changes()
    with pytest.raises(Rejection, match=words) as refusal:
        network.deliver(message)
    assert refusal.value.code == code
    assert network.state.changes() == before


# Registration


def test_a_host_registers_itself() -> None:
    network = Network()
    network.register("dave")
    record = participants.require_participant(network.state, DAVE)
    assert record == Participant(
        index=DAVE,
        address=DAVE,
        join_time=network.block.time // 10**6,
        join_height=network.block.height,
        inference_url="http://dave.example:9000",
        status=ParticipantStatus.ACTIVE,
        validator_key=encoded(consensus_key("dave")),
        account_public_key=key("dave").public_key,
    )
    assert DAVE in [each.address for each in participants.hosts(network.state)]
    assert account(network.state, DAVE).public_key == key("dave").public_key
    assert participants.by_consensus_address(network.state, consensus_address(consensus_key("dave"))) == DAVE
    assert network.events("participant_registered") == [
        {"participant": DAVE, "inference_url": "http://dave.example:9000"}
    ]


def test_a_host_can_be_registered_by_another_and_once_more_is_no_fault() -> None:
    network = Network()
    network.deliver(forwarded("dave"))
    before = network.state.changes()
    network.deliver(forwarded("dave"))
    assert network.state.changes() == before
    assert participants.is_host(participants.require_participant(network.state, DAVE))
    assert account(network.state, DAVE).public_key == key("dave").public_key


def test_a_consumer_registers_without_a_signature_and_is_no_host() -> None:
    network = Network()
    set_public_key(network.state, DAVE, key("dave").public_key)
    network.deliver(MsgSubmitNewParticipant(creator=DAVE))
    network.deliver(forwarded("erin", host=False))
    for name in ("dave", "erin"):
        record = participants.require_participant(network.state, key(name).address)
        assert record.account_public_key == key(name).public_key
        assert not participants.is_host(record)
        assert consensus_keys.consensus_key(record) == b""
    assert len(list(participants.hosts(network.state))) == 3


def test_a_consumer_can_become_a_host() -> None:
    network = Network()
    network.deliver(forwarded("dave", host=False))
    network.deliver(forwarded("dave"))
    assert participants.is_host(participants.require_participant(network.state, DAVE))


def test_a_message_without_url_changes_nothing_of_a_host() -> None:
    network = Network()
    network.register("dave")
    before = participants.participant(network.state, DAVE)
    network.deliver(MsgSubmitNewParticipant(creator=DAVE))
    network.deliver(forwarded("dave", host=False))
    assert participants.participant(network.state, DAVE) == before


def test_w2_nobody_makes_an_address_with_another_key() -> None:
    network = Network()
    message = forwarded("dave")
    message.pub_key = encoded(key("mallory").public_key)
    refused(network, message, SdkCode.INVALID_PUBLIC_KEY, "does not hash to the address")
    assert account(network.state, DAVE) is None
    assert participants.participant(network.state, DAVE) is None


def test_w2_a_host_is_registered_with_its_own_signature_only() -> None:
    network = Network()
    message = forwarded("dave")
    signed = registration_sign_bytes(CHAIN_ID, DAVE, message.url, message.validator_key)
    message.registration_signature = key("mallory").sign_base64(signed)
    refused(network, message, NetworkCode.INVALID_SIGNATURE, "was not made by the key of")
    own = registration("dave")
    own.registration_signature = key("mallory").sign_base64(signed)
    refused(network, own, NetworkCode.INVALID_SIGNATURE, "registration_signature")


@pytest.mark.parametrize("field", ["url", "validator_key"])
def test_w2_whoever_forwards_a_registration_cannot_change_it(field: str) -> None:
    network = Network()
    other = {"url": "http://mallory.example", "validator_key": encoded(consensus_key("mallory"))}
    for message in (forwarded("dave"), registration("dave")):
        setattr(message, field, other[field])
        refused(network, message, NetworkCode.INVALID_SIGNATURE, "registration_signature")


def test_a_registration_of_another_network_is_refused() -> None:
    network = Network()
    message = registration("dave")
    signed = registration_sign_bytes("another-chain", DAVE, message.url, message.validator_key)
    message.registration_signature = key("dave").sign_base64(signed)
    refused(network, message, NetworkCode.INVALID_SIGNATURE, "registration_signature")


def test_an_old_registration_that_somebody_kept_changes_nothing() -> None:
    network = Network()
    network.register("dave")
    network.register("dave", url="http://new.example")
    refused(network, forwarded("dave", by="bob"), NetworkCode.ACCOUNT_EXISTS, "its own transaction")
    assert participants.require_participant(network.state, DAVE).inference_url == "http://new.example"


def test_w7_registering_again_keeps_the_history() -> None:
    network = Network()
    network.register("dave")
    record = participants.require_participant(network.state, DAVE)
    record.status = ParticipantStatus.INVALID
    record.epochs_completed = 7
    record.gateway_address = key("gateway").address
    participants.put(network.state, record)
    network.advance(5)
    network.register("dave", url="https://new.example/api")
    again = participants.require_participant(network.state, DAVE)
    record.inference_url = "https://new.example/api"
    assert again == record


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": ""}, "both|neither"),
        ({"validator_key": ""}, "neither"),
        ({"url": "ftp://dave.example"}, "http"),
        ({"url": "http://"}, "http"),
        ({"url": "http://user@dave.example"}, "http"),
        ({"url": "http://dave.example/a b"}, "http"),
        ({"url": "http://dave.example:9000:1"}, "http"),
        ({"url": "http://dave.example/" + "a" * MAX_URL_LENGTH}, "256"),
        ({"validator_key": "!"}, "validator_key is not base64"),
        ({"validator_key": encoded(bytes(31))}, "32 bytes"),
        ({"validator_key": encoded(bytes(32)).replace("=", "")}, "validator_key is not base64"),
    ],
)
def test_a_malformed_registration_is_refused_by_the_name_of_its_field(fields: dict[str, str], words: str) -> None:
    message = registration("dave")
    for field, value in fields.items():
        setattr(message, field, value)
    refused(Network(), message, NetworkCode.INVALID_FIELD, words)


@pytest.mark.parametrize("url", ["http://10.0.0.1:9000", "https://[::1]:9000/x?y=1", "http://a", "http://a-b.c/"])
def test_urls_of_hosts(url: str) -> None:
    network = Network()
    network.register("dave", url=url)
    assert participants.require_participant(network.state, DAVE).inference_url == url


def test_malformed_addresses_keys_and_signatures_are_refused() -> None:
    network = Network()
    refused(network, MsgSubmitNewParticipant(creator="gonka1nobody"), SdkCode.INVALID_ADDRESS, "gonka1nobody")
    message = registration("dave")
    message.registration_signature = "AAAA"
    refused(network, message, NetworkCode.INVALID_SIGNATURE, "registration_signature: the signature has 3 bytes")
    other = forwarded("dave")
    other.pub_key = "?"
    refused(network, other, NetworkCode.INVALID_FIELD, "pub_key is not base64")


def test_an_unknown_participant_is_named() -> None:
    with pytest.raises(Rejection, match="'nobody' is not a participant"):
        participants.require_participant(Network().state, "nobody")


# Consensus keys


def test_w9_a_consensus_key_belongs_to_one_participant() -> None:
    network = Network()
    network.register("dave")
    refused(network, registration("erin", consensus="dave"), NetworkCode.CONSENSUS_KEY_TAKEN, DAVE)
    refused(network, forwarded("erin", consensus="alice"), NetworkCode.CONSENSUS_KEY_TAKEN, key("alice").address)


def test_a_new_key_takes_force_at_the_switch_and_is_taken_from_the_request_on() -> None:
    network = Network()
    network.register("alice", consensus="other")
    alice = key("alice").address
    record = participants.require_participant(network.state, alice)
    assert consensus_keys.consensus_key(record) == consensus_key("alice")
    assert record.next_validator_key == encoded(consensus_key("other"))
    refused(network, registration("dave", consensus="other"), NetworkCode.CONSENSUS_KEY_TAKEN, alice)
    network.advance(64)
    network.block.events.clear()
    network.to_switched()
    record = participants.require_participant(network.state, alice)
    assert (record.validator_key, record.next_validator_key) == (encoded(consensus_key("other")), "")
    for name in ("alice", "other"):
        assert participants.by_consensus_address(network.state, consensus_address(consensus_key(name))) == alice
    refused(network, registration("dave", consensus="alice"), NetworkCode.CONSENSUS_KEY_TAKEN, alice)


def test_w9_a_crowd_that_does_not_serve_leaves_nothing_to_do_for_the_block_of_the_switch() -> None:
    """Anybody may register as a host, and ask for another key, for little; all those keys would change in one block."""
    network = Network()
    for number in range(5):
        network.register(f"sybil-{number}")
        network.register(f"sybil-{number}", consensus=f"other {number}")
    found = participants.require_participant(network.state, key("sybil-3").address)
    assert consensus_keys.consensus_key(found) == consensus_key("other 3")
    for name in ("sybil-3", "other 3"):
        owner = participants.by_consensus_address(network.state, consensus_address(consensus_key(name)))
        assert owner == found.address
    assert not list(network.state.iterate("inference", consensus_keys.PENDING, prefix_end(consensus_keys.PENDING)))
    refused(network, registration("dave", consensus="sybil-3"), NetworkCode.CONSENSUS_KEY_TAKEN, found.address)
    network.advance(65)
    assert participants.require_participant(network.state, found.address) == found


def test_w9_one_rotation_does_not_hinder_the_others() -> None:
    network = Network()
    network.register("alice", consensus="other")
    network.register("bob", consensus="third")
    network.advance(65)
    rotated = {network.names[each.address]: each.validator_key for each in participants.hosts(network.state)}
    assert rotated["alice"] == encoded(consensus_key("other"))
    assert rotated["bob"] == encoded(consensus_key("third"))
    assert rotated["carol"] == encoded(consensus_key("carol"))


def test_a_rotation_can_be_changed_and_taken_back() -> None:
    network = Network()
    alice = key("alice").address
    network.register("alice", consensus="other")
    network.register("alice", consensus="other")
    network.register("alice", consensus="third")
    assert participants.require_participant(network.state, alice).next_validator_key == encoded(consensus_key("third"))
    network.register("alice", consensus="alice")
    assert participants.require_participant(network.state, alice).next_validator_key == ""
    network.advance(65)
    record = participants.require_participant(network.state, alice)
    assert consensus_keys.consensus_key(record) == consensus_key("alice")
    assert "alice" in network.powers()


def later(block: Block, blocks: int) -> Block:
    """A block so much later in which old keys are forgotten."""
    found = next_block(block, block.height + blocks)
    consensus_keys.prune(found)
    return found


def test_a_retired_key_is_free_once_evidence_cannot_reach_it() -> None:
    network = Network()
    network.register("alice", consensus="other")
    network.advance(65)
    retired = consensus_address(consensus_key("alice"))
    block = later(network.block, consensus_keys.EVIDENCE_AGE_BLOCKS - 1)
    assert participants.by_consensus_address(block.state, retired) == key("alice").address
    block = later(block, 2)
    assert participants.by_consensus_address(block.state, retired) is None
    assert participants.by_consensus_address(block.state, consensus_address(consensus_key("other"))) is not None
    network.block = block
    network.register("dave", consensus="alice")


def test_d2_short_blocks_do_not_let_a_double_signer_go() -> None:
    """The engine takes evidence until blocks and time have passed: 100,000 blocks of 200 ms are less than two days."""
    network = Network()
    limits = ConsensusParams(
        evidence=EvidenceParams(max_age_num_blocks=100_000, max_age_duration=Duration(seconds=48 * 3_600))
    )
    set_consensus_params(network.state, limits)
    network.register("alice", consensus="other")
    network.advance(65)
    retired = consensus_address(consensus_key("alice"))
    block = later(network.block, consensus_keys.EVIDENCE_AGE_BLOCKS + 1)
    assert participants.by_consensus_address(block.state, retired) == key("alice").address
    block = later(block, 48 * 3_600 * NANOSECONDS // BLOCK_INTERVAL)
    assert participants.by_consensus_address(block.state, retired) is None


def test_a_retired_key_that_is_in_use_again_stays() -> None:
    network = Network()
    network.register("alice", consensus="other")
    network.advance(65)
    network.register("alice", consensus="alice")
    consensus_keys.apply_rotations(network.block)
    block = later(network.block, consensus_keys.EVIDENCE_AGE_BLOCKS + 1)
    owner = participants.by_consensus_address
    assert owner(block.state, consensus_address(consensus_key("alice"))) == key("alice").address
    assert owner(block.state, consensus_address(consensus_key("other"))) is None
    check_consensus_keys(block.state)


def test_many_retired_keys_are_forgotten_in_portions() -> None:
    network = Network()
    for number in range(consensus_keys.FORGOTTEN_PER_BLOCK + 5):
        network.register("alice", consensus=f"key {number}")
    record = participants.require_participant(network.state, key("alice").address)
    assert record.next_validator_key == encoded(consensus_key(f"key {number}"))
    addresses = [consensus_address(consensus_key(f"key {each}")) for each in range(number)]
    block = later(network.block, consensus_keys.EVIDENCE_AGE_BLOCKS + 1)
    left = [each for each in addresses if participants.by_consensus_address(block.state, each)]
    assert len(left) == len(addresses) - consensus_keys.FORGOTTEN_PER_BLOCK
    block = later(block, 1)
    assert not any(participants.by_consensus_address(block.state, each) for each in addresses)


def test_the_invariant_sees_a_key_that_leads_elsewhere() -> None:
    network = Network()
    row = participants.consensus_address_key(consensus_address(consensus_key("alice")))
    network.state.set(participants.STORE, row, bytes(8) + DAVE.encode())
    with pytest.raises(AssertionError, match=DAVE):
        check_consensus_keys(network.state)


# Who signs, who pays


def test_a_participant_signs_with_its_own_key_and_those_of_its_grantees() -> None:
    network = Network()
    alice, warm, cold = key("alice"), key("warm"), key("cold")
    set_public_key(network.state, warm.address, warm.public_key)
    for grantee in (warm, cold):
        grant(network.state, Permission(alice.address, grantee.address, START, network.block.time + 10))
    keys = participants.signing_keys(network.state, alice.address, START, network.block.time)
    assert keys == [alice.public_key, warm.public_key]
    assert participants.signing_keys(network.state, alice.address, START, network.block.time + 11) == keys[:1]
    assert participants.signing_keys(network.state, alice.address, "/other.Msg", network.block.time) == keys[:1]
    assert participants.signing_keys(network.state, cold.address, START, network.block.time) == []
    answer = network.query(
        "GranteesByMessageType",
        query_pb2.QueryGranteesByMessageTypeRequest(granter_address=alice.address, message_type_url=START),
    )
    listed = {each.address: each.pub_key for each in answer.grantees}
    assert listed == {warm.address: encoded(warm.public_key), cold.address: ""}
    with pytest.raises(Rejection, match="granter_address"):
        network.query(
            "GranteesByMessageType",
            query_pb2.QueryGranteesByMessageTypeRequest(granter_address="nobody", message_type_url=START),
        )


def test_the_key_of_the_registration_counts_where_no_account_is_known() -> None:
    network = Network()
    participants.put(network.state, Participant(address=DAVE, index=DAVE, account_public_key=key("dave").public_key))
    assert participants.signing_keys(network.state, DAVE, START, 0) == [key("dave").public_key]


def test_a_gateway_account_agrees_to_pay() -> None:
    network = Network()
    alice, gateway = key("alice").address, key("gateway")
    signature = gateway.sign_base64(gateway_sign_bytes(CHAIN_ID, alice))
    message = MsgSetGateway(creator=alice, gateway_public_key=gateway.public_key, gateway_signature=signature)
    network.deliver(message)
    assert participants.require_participant(network.state, alice).gateway_address == gateway.address
    assert account(network.state, gateway.address).public_key == gateway.public_key


def test_nobody_names_a_gateway_that_has_not_agreed() -> None:
    network = Network()
    alice, bob, gateway = key("alice").address, key("bob").address, key("gateway")
    for_bob = gateway.sign_base64(gateway_sign_bytes(CHAIN_ID, bob))
    message = MsgSetGateway(creator=alice, gateway_public_key=gateway.public_key, gateway_signature=for_bob)
    refused(network, message, NetworkCode.INVALID_SIGNATURE, "gateway_signature")
    message.gateway_signature = "x"
    refused(network, message, NetworkCode.INVALID_SIGNATURE, "gateway_signature: .* not base64")
    message.gateway_public_key = bytes(33)
    refused(network, message, NetworkCode.INVALID_FIELD, "gateway_public_key")
    message = MsgSetGateway(creator=DAVE, gateway_public_key=gateway.public_key, gateway_signature=for_bob)
    refused(network, message, NetworkCode.PARTICIPANT_NOT_FOUND, DAVE)


# Hardware


def test_hardware_is_declared_changed_and_removed() -> None:
    network = Network()
    alice = key("alice").address
    network.declare("alice", node(2), node(1))
    assert [each.local_id for each in participants.hardware(network.state, alice).hardware_nodes] == ["node1", "node2"]
    network.declare("alice", node(1, MODELS), node(3), removed=[node(2), node(9)])
    declared = participants.hardware(network.state, alice).hardware_nodes
    assert {each.local_id: list(each.models) for each in declared} == {"node1": list(MODELS), "node3": ["org/big"]}
    network.declare("bob", node(1))
    assert len(list(participants.all_hardware(network.state))) == 2
    answer = network.query("HardwareNodes", query_pb2.QueryHardwareNodesRequest(participant=alice))
    assert answer.nodes == participants.hardware(network.state, alice)
    answer = network.query("HardwareNodesAll", query_pb2.QueryHardwareNodesAllRequest())
    assert {each.participant for each in answer.nodes} == {alice, key("bob").address}
    network.declare("alice", removed=[node(1), node(3)])
    assert participants.hardware(network.state, alice) == HardwareNodes(participant=alice)
    assert len(list(participants.all_hardware(network.state))) == 1


def test_a_node_that_was_set_up_anew_may_have_another_number() -> None:
    network = Network(hardware={"alice": [node(7, name="known")]})
    network.declare("alice", node(8, name="known"), node(7, name="other"))
    declared = participants.hardware(network.state, key("alice").address).hardware_nodes
    assert {each.local_id: each.node_number for each in declared} == {"known": 8, "other": 7}


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node(1), node(1)], "newOrModified names a node twice"),
        ([node(1), node(1, name="other")], "cannot have one node_number"),
        ([node(7, name="other")], "cannot have one node_number"),
        ([node(MAX_NODE_NUMBER + 1)], "node_number of .* above"),
        ([HardwareNode()], "local_id"),
        ([node(1, name="n" * 65)], "local_id"),
        ([node(1, ["org/big", "org/big"])], "models of node1"),
        ([node(1, [f"m{i}" for i in range(33)])], "models of node1"),
        ([HardwareNode(local_id="a", hardware=[Hardware()] * 33)], "hardware of a"),
        ([HardwareNode(local_id="a", host="h" * 257)], "host, port and hardware of a"),
        ([HardwareNode(local_id="a", hardware=[Hardware(type="t" * 257)])], "host, port and hardware of a"),
    ],
)
def test_hardware_that_cannot_be_is_refused(nodes: list[HardwareNode], words: str) -> None:
    network = Network(hardware={"alice": [node(7, name="known")]})
    message = MsgSubmitHardwareDiff(creator=key("alice").address, newOrModified=nodes)
    refused(network, message, NetworkCode.INVALID_FIELD, words)


def test_hardware_of_an_unknown_model_or_host_is_refused() -> None:
    network = Network()
    message = MsgSubmitHardwareDiff(creator=key("alice").address, newOrModified=[node(1, ["org/none"])])
    refused(network, message, NetworkCode.INVALID_MODEL, "'org/none'")
    message.creator = DAVE
    refused(network, message, NetworkCode.PARTICIPANT_NOT_FOUND, DAVE)


def test_a_host_has_a_bounded_number_of_nodes() -> None:
    network = Network()
    network.declare("alice", *(node(number, ()) for number in range(MAX_NODES_PER_HOST)))
    message = MsgSubmitHardwareDiff(creator=key("alice").address, newOrModified=[node(MAX_NODES_PER_HOST)])
    refused(network, message, NetworkCode.INVALID_FIELD, f"{MAX_NODES_PER_HOST} nodes at most")


def test_a_hosts_declaration_cannot_grow_change_by_change() -> None:
    network = Network()
    parts = [Hardware(type="t" * 256)] * 32
    for number in range(30):
        network.declare("alice", HardwareNode(local_id=f"node{number}", node_number=number, hardware=parts))
    one_more = HardwareNode(local_id="node30", node_number=30, hardware=parts)
    last = HardwareNode(local_id="node31", node_number=31, hardware=parts)
    network.declare("alice", one_more)
    message = MsgSubmitHardwareDiff(creator=key("alice").address, newOrModified=[last])
    refused(network, message, NetworkCode.INVALID_FIELD, "at most 262144")
    network.declare("alice", removed=[one_more])
    network.declare("alice", last)


def test_the_invariant_sees_one_number_twice() -> None:
    network = Network()
    participants.put_hardware(
        network.state, HardwareNodes(participant=DAVE, hardware_nodes=[node(1), node(1, name="other")])
    )
    with pytest.raises(AssertionError, match=DAVE):
        check_node_numbers(network.state)


# Genesis


def test_the_genesis_names_hosts_with_keys_and_once() -> None:
    entry = GenesisParticipant(
        participant=Participant(address=DAVE, inference_url="http://dave", validator_key=encoded(consensus_key("dave")))
    )
    network = Network()
    participants_genesis.begin(network.block, GenesisState(participants=[entry]))
    assert participants.require_participant(network.state, DAVE).index == DAVE
    with pytest.raises(ValueError, match="twice"):
        participants_genesis.begin(network.block, GenesisState(participants=[entry]))
    for fault in ({"inference_url": ""}, {"validator_key": encoded(bytes(3))}):
        broken = GenesisParticipant()
        broken.CopyFrom(entry)
        for field, value in fault.items():
            setattr(broken.participant, field, value)
        with pytest.raises(ValueError, match="inference_url or a consensus key"):
            participants_genesis.begin(Network().block, GenesisState(participants=[broken]))
