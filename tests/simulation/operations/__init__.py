"""What actors try. Each kind is a function `(world, rng) -> transactions`; one line in `KINDS` makes it part of every run."""

from collections.abc import Callable, Iterable, Mapping
from random import Random

from tests.simulation.operations import accounts, anything, governance, hostile, hosts, locking, requests, training
from tests.simulation.world import World

Kind = Callable[[World, Random], Iterable[bytes]]

KINDS: Mapping[str, tuple[Kind, int]] = {
    "send": (accounts.send, 12),
    "multi send": (accounts.multi_send, 3),
    "grant": (accounts.grant, 3),
    "revoke": (accounts.revoke, 1),
    "act for another": (accounts.execute, 4),
    "register": (hosts.register, 2),
    "register a newcomer": (hosts.register_forwarded, 1),
    "declare hardware": (hosts.declare, 2),
    "name a gateway": (hosts.set_gateway, 1),
    "request": (requests.record, 30),
    "request alone": (requests.single, 4),
    "finish late": (requests.finish_late, 6),
    "propose": (governance.propose, 3),
    "vote": (governance.vote, 2),
    "deposit": (governance.deposit, 2),
    "cancel a proposal": (governance.cancel, 1),
    "vest": (locking.vest, 2),
    "allow fees": (locking.allow_fees, 2),
    "put down collateral": (locking.put_down_collateral, 2),
    "take collateral back": (locking.take_collateral_back, 1),
    "unjail": (locking.unjail, 1),
    "transfer in an emergency": (locking.emergency_transfer, 2),
    "ask for training": (training.ask, 1),
    "assign training": (training.assign, 3),
    "train": (training.work, 5),
    "bad signature": (hostile.bad_signature, 3),
    "replay": (hostile.replay, 4),
    "garbage": (hostile.garbage, 2),
    "damage": (hostile.damage, 3),
    "flood": (hostile.flood, 1),
    "wrong order": (hostile.wrong_order, 2),
    "act without permission": (hostile.impersonate, 2),
    "finish twice": (hostile.finish_twice, 3),
    "inflate": (hostile.inflate, 2),
    "lie about work": (hostile.lie_about_work, 2),
    "anything": (anything.message, 12),
}
"""By name: the function and how often it is drawn. Duties of honest hosts are done in every block (`duties.py`)."""

WEIGHTS = {name: weight for name, (_, weight) in KINDS.items()}
