"""What the request path keeps on disk, and for how long."""

import pytest
from sqlalchemy import func, select

from pivot.api.database import Database
from pivot.api.http.errors import Forbidden, SignatureReused
from pivot.api.inference import artifacts
from pivot.api.inference.tables import UsedSignature
from pivot.api.inference.used_signatures import Role, UsedSignatures
from tests.api.databases import ON_BOTH
from tests.api.inference.network import Network, moment_at

pytestmark = ON_BOTH
SIGNATURE = bytes(range(64))


async def reopened(database: Database) -> UsedSignatures:
    used = UsedSignatures(database)
    await used.load()
    return used


async def test_a31_a_used_signature_is_refused_after_a_restart(database: Database) -> None:
    used = await reopened(database)
    await used.use(SIGNATURE, Role.TRANSFER, 5)
    again = await reopened(database)
    with pytest.raises(SignatureReused):
        again.use(SIGNATURE, Role.TRANSFER, 5)
    await again.use(SIGNATURE, Role.EXECUTOR, 5)


async def test_a_signature_is_forgotten_when_its_time_stamp_is_no_longer_good(database: Database) -> None:
    used = await reopened(database)
    await used.use(SIGNATURE, Role.TRANSFER, 5)
    await used.use(b"later", Role.TRANSFER, 50)
    await used.forget_before(6)
    used.require_unused(SIGNATURE, Role.TRANSFER)
    with pytest.raises(SignatureReused):
        used.require_unused(b"later", Role.TRANSFER)
    async with database.session() as session:
        assert await session.scalar(select(func.count()).select_from(UsedSignature)) == 1


async def test_artifacts_are_kept_until_the_epoch_after_the_next(network: Network) -> None:
    reply = await network.post(network.hosts[0], network.body())
    inference_id = reply.json["id"]
    [executor] = [host for host in network.hosts if await host.settled()]
    for epoch, kept in ((8, True), (9, True), (10, False)):
        moment = moment_at(epoch=epoch, height=1000 + 100 * epoch)
        await executor.service._tidy(moment)
        assert (await artifacts.find(executor.database, inference_id) is not None) == kept


async def test_how_long_and_how_much_is_kept_follows_the_settings_as_they_are_now(network: Network) -> None:
    replies = [await network.post(network.hosts[0], network.body(text)) for text in ("one", "two", "three")]
    storage = [host.service._settings.storage for host in network.hosts]

    async def kept(epoch: int) -> int:
        found = 0
        for host in network.hosts:
            await host.settled()
            await host.service._tidy(moment_at(epoch=epoch, height=1000 + 100 * epoch))
            found += sum([await artifacts.find(host.database, reply.json["id"]) is not None for reply in replies])
        return found

    for each in storage:
        each.artifact_epochs = 4
    assert await kept(10) == await kept(11) == 3
    for each in storage:
        each.artifact_bytes = 1
    assert await kept(12) == 0


async def test_a_start_of_the_epoch_before_is_good_for_the_grace(network: Network) -> None:
    host, body = network.hosts[1], network.body()
    start = network.start_for(host, body)
    network.chain.form_group(8, {each.address: 10 for each in network.hosts})
    await host.phases.set(moment_at(epoch=7))
    await host.phases.set(moment_at(epoch=8, height=1040))
    await host.service.execution.admit(start)
    await host.phases.set(moment_at(epoch=8, height=1041))
    with pytest.raises(Forbidden, match="is over"):
        await host.service.execution.admit(start)


async def test_a_start_of_an_epoch_that_this_node_has_not_seen_begin_waits_a_little(network: Network) -> None:
    host, body = network.hosts[1], network.body()
    network.chain.form_group(8, {each.address: 10 for each in network.hosts})
    start = network.start_for(host, body, epoch_id=8)
    with pytest.raises(Forbidden, match="has not begun"):
        await host.service.execution.admit(start)
    host.phases.later = moment_at(epoch=8)
    await host.service.execution.admit(start)
