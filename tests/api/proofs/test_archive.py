"""Proofs of members on disk: the first one of an epoch stays, however large, and none is asked for twice."""

import asyncio
from typing import Any

import pytest

from pivot.api.database import Database
from pivot.api.http.errors import NotFound
from pivot.api.proofs.archive import EPOCHS_CAUGHT_UP, ProofArchive, ProofKeeper
from tests.api.databases import ON_BOTH
from tests.api.inference.network import FakePhases, moment_at

pytestmark = ON_BOTH
HOSTS = 2_000


def document(epoch: int) -> dict[str, Any]:
    """As large as that of a large network."""
    members = [
        {"index": f"gonka1{number:032}", "weight": number, "seed": {"epoch_index": epoch}} for number in range(HOSTS)
    ]
    return {"active_participants": {"participants": members, "epoch_id": epoch}, "excluded_participants": []}


async def test_what_was_kept_is_found_again_and_the_first_one_stays(database: Database) -> None:
    archive = ProofArchive(database)
    assert await archive.find(1) is None
    await archive.keep(1, document(1))
    await archive.keep(1, {"another": "answer"})
    await archive.keep(2**40, document(2**40))
    again = ProofArchive(database)
    assert await again.find(1) == document(1)
    assert await again.find(2**40) == document(2**40)
    assert await again.find(2) is None


async def test_a_node_that_was_away_asks_for_the_epochs_that_the_chain_may_have_still(database: Database) -> None:
    archive, phases, asked = ProofArchive(database), FakePhases(), []

    async def prove(epoch: int) -> None:
        asked.append(epoch)
        if epoch == 93:
            raise NotFound("nobody has earned weight")
        await archive.keep(epoch, document(epoch))

    phases.moment = moment_at(epoch=100)
    keeper = ProofKeeper(prove, phases)
    await keeper.start()
    while await archive.find(100) is None:
        await asyncio.sleep(0.01)
    await phases.set(moment_at(epoch=101))
    while await archive.find(101) is None:
        await asyncio.sleep(0.01)
    await keeper.close()
    assert asked == list(range(100 - EPOCHS_CAUGHT_UP, 102))


async def test_the_newest_epochs_proof_is_asked_for_again_until_it_is_there(database: Database) -> None:
    archive, phases, tries = ProofArchive(database), FakePhases(), iter([False, True])

    async def prove(epoch: int) -> None:
        if not next(tries):
            raise NotFound("the block that proves it comes next")
        await archive.keep(epoch, document(epoch))

    phases.moment = moment_at(epoch=1)
    keeper = ProofKeeper(prove, phases)
    await keeper.start()
    height = phases.moment.head.height
    while await archive.find(1) is None:
        height += 1
        await phases.set(moment_at(epoch=1, height=height))
        await asyncio.sleep(0.01)
    await keeper.close()
    with pytest.raises(StopIteration):
        next(tries)
