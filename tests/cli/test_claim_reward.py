"""`pivot admin claim-reward recover` against a real admin port."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from pivot.api.http.claims import serve_claims
from pivot.api.identity import Identity
from pivot.api.rewards.claimer import Claimer
from tests.api.fleet.chain import FakeChain, FakeOutbox, FakePhases, epoch, group, key
from tests.api.serving import serving
from tests.cli.conftest import Pivot


class Duties:
    """So many checks are still to be done."""

    left = 1

    async def missing(self, _epoch: int) -> int:
        return self.left


@pytest.fixture
async def recover(pivot: Pivot, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pivot]:
    """The command at a host whose epoch 1 is settled, with one check missing."""
    identity, chain = Identity(account=key(1), gateway=key(2)), FakeChain()
    chain.latest = chain.effective = epoch(2, 130)
    chain.groups[1, ""] = group(1, {identity.address: []})
    chain.settled_epoch = 1
    phases, outbox = FakePhases(chain), FakeOutbox(on_put=lambda _key, _message: 0)
    await phases.at(chain.effective.boundaries.claim_money + 1)
    app = FastAPI()
    serve_claims(app, Claimer(identity, chain, outbox, phases, Duties()))
    async with serving(app) as url:
        monkeypatch.setenv("ADMIN_URL", url)
        yield lambda *arguments: pivot("admin", "claim-reward", "recover", *arguments)


async def test_a_claim_lacks_checks_unless_it_is_forced(recover: Pivot) -> None:
    refused = await recover()
    assert refused.code == 1
    assert "Epoch 1: 1 checks of answers are still to be done." in refused.err
    forced = await recover("--force", "--epoch", "1", "--json")
    assert (forced.code, forced.json["claim_executed"], forced.json["missed_validations"]) == (0, True, 1)
    again = await recover()
    assert (again.code, again.err) == (0, "Epoch 1: it is claimed already.\n")


async def test_another_epoch_cannot_be_claimed(recover: Pivot) -> None:
    refused = await recover("--force", "--epoch", "7")
    assert (refused.code, "claims are open for no epoch but 1" in refused.err) == (1, True)


async def test_an_epoch_that_is_none_is_refused(recover: Pivot) -> None:
    assert (await recover("--epoch", "0")).code != 0
