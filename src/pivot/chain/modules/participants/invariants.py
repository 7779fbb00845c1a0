"""What holds after every block."""

from pivot.chain.modules.participants.consensus_keys import consensus_key
from pivot.chain.modules.participants.state import all_hardware, by_consensus_address, hosts
from pivot.chain.types import Reader
from pivot.primitives.addresses import consensus_address


def check_consensus_keys(state: Reader) -> None:
    """No two hosts have one consensus key, and each key leads to its host. Raises AssertionError."""
    for record in hosts(state):
        owner = by_consensus_address(state, consensus_address(consensus_key(record)))
        if owner != record.address:
            raise AssertionError(f"the consensus key of {record.address} leads to {owner}")


def check_node_numbers(state: Reader) -> None:
    """No two nodes of a host have one number. Raises AssertionError."""
    for declared in all_hardware(state):
        numbers = [node.node_number for node in declared.hardware_nodes]
        if len(set(numbers)) != len(numbers):
            raise AssertionError(f"two nodes of {declared.participant} have one number")
