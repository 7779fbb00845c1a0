import asyncio

import aiohttp
import pytest

from pivot.api.fleet.checking import Checking
from pivot.api.fleet.client import MlNodeClient
from pivot.api.fleet.declaration import NodeDeclaration
from pivot.api.fleet.interface import NoNodeAvailable, Validate
from pivot.api.fleet.reconciler import NodeReconciler
from pivot.api.fleet.registry import RegisteredNode
from pivot.protocol.mlnode_api import Mode, PowState, ValidateRequest, encode_fingerprints
from tests.api.fleet.chain import until
from tests.api.fleet.ml_node import FakeMlNode, fingerprint
from tests.api.fleet.test_reconciler import init

NONCES = [5, 9, 2]


def request(batch_id: str = "b") -> ValidateRequest:
    leaves = b"".join(fingerprint(nonce) for nonce in NONCES)
    return ValidateRequest(
        batch_id=batch_id, host_address="gonka1other", nonces=NONCES, fingerprints=encode_fingerprints(leaves)
    )


def ready(http: aiohttp.ClientSession, node: FakeMlNode, number: int) -> NodeReconciler:
    """A node that was seen ready to check."""
    node.mode, node.pow, node.init, node.silent_checks = Mode.POW, PowState.VALIDATING, init(), True
    registered = RegisteredNode(
        NodeDeclaration.parse(node.declared(f"node{number}")), number, enabled=True, changed_in_epoch=0
    )
    client = MlNodeClient(http, node.url, node.url)
    reconciler = NodeReconciler(registered, client, duty_of=lambda _: None, changed=lambda: None)
    reconciler.reachable, reconciler._duty, reconciler._fulfils = True, Validate(init()), True
    return reconciler


async def test_a_node_is_asked_and_its_answer_comes_back(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as node:
        checking = Checking(lambda: [ready(http, node, 1)])
        asking = asyncio.create_task(checking.distances(request(), timeout_s=5))
        await until(lambda: node.checked)
        checking.accept("unknown", [1])
        checking.accept("b", [1, 2])  # too few
        checking.accept("b", [1, 2, 3])
        checking.accept("b", [4, 5, 6])  # a late repetition
        assert await asking == [1, 2, 3]
        assert node.checked == [request()]
        checking.accept("b", [1, 2, 3])


async def test_the_next_node_is_asked_when_one_refuses(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as broken, FakeMlNode.running() as sound:
        nodes = [ready(http, broken, 1), ready(http, sound, 2)]
        broken.refuses["/api/v1/pow/validate"] = 400
        checking = Checking(lambda: nodes)
        asking = asyncio.create_task(checking.distances(request(), timeout_s=5))
        await until(lambda: sound.checked)
        checking.accept("b", [1, 2, 3])
        assert await asking == [1, 2, 3]


async def test_a16_a_silent_node_is_passed_over_and_a_late_answer_still_counts(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as silent, FakeMlNode.running() as other:
        nodes = [ready(http, silent, 1), ready(http, other, 2)]
        checking = Checking(lambda: nodes)
        asking = asyncio.create_task(checking.distances(request(), timeout_s=0.6))
        await until(lambda: silent.checked and other.checked)
        checking.accept("b", [7, 7, 7])
        assert await asking == [7, 7, 7]


async def test_checks_are_spread_over_the_nodes(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as one, FakeMlNode.running() as two:
        nodes = [ready(http, one, 1), ready(http, two, 2)]
        checking = Checking(lambda: nodes)
        asking = [asyncio.create_task(checking.distances(request(f"b{n}"), timeout_s=5)) for n in range(4)]
        await until(lambda: len(one.checked) == len(two.checked) == 2)
        for n in range(4):
            checking.accept(f"b{n}", [n, n, n])
        assert await asyncio.gather(*asking) == [[n, n, n] for n in range(4)]


async def test_a_node_that_becomes_ready_is_waited_for(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as node:
        nodes: list[NodeReconciler] = []
        checking = Checking(lambda: nodes)
        asking = asyncio.create_task(checking.distances(request(), timeout_s=5))
        await asyncio.sleep(0.05)
        nodes.append(ready(http, node, 1))
        await until(lambda: node.checked)
        checking.accept("b", [0, 0, 0])
        assert await asking == [0, 0, 0]


async def test_m7_a_node_that_has_forgotten_what_it_was_to_check_is_asked_again(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as node:
        reconciler = ready(http, node, 1)
        checking = Checking(lambda: [reconciler])
        asking = asyncio.create_task(checking.distances(request(), timeout_s=60))
        await until(lambda: node.checked)
        reconciler._fulfils = False  # it broke, as was seen at the last look
        await asyncio.sleep(0.15)
        reconciler._fulfils = True
        await until(lambda: len(node.checked) == 2)
        checking.accept("b", [1, 2, 3])
        assert await asking == [1, 2, 3]


async def test_without_a_node_the_check_ends_with_its_time() -> None:
    with pytest.raises(NoNodeAvailable, match="batch b"):
        await Checking(list).distances(request(), timeout_s=0.05)


async def test_the_next_node_is_asked_at_once_when_one_is_removed(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as leaving, FakeMlNode.running() as staying:
        nodes = [ready(http, leaving, 1), ready(http, staying, 2)]
        checking = Checking(lambda: nodes)
        asking = asyncio.create_task(checking.distances(request(), timeout_s=60))
        await until(lambda: leaving.checked)
        await nodes.pop(0).close()
        await until(lambda: staying.checked)
        checking.accept("b", [1, 2, 3])
        assert await asking == [1, 2, 3]
