"""Every block becomes a moment; duties follow from it, whatever was missed in between."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from pivot.api import phases as phases_module
from pivot.api.ledger.interface import ChainUnavailable, Head
from pivot.api.phases import Moment, PhaseKeeper
from pivot.protocol.epochs import Phase, boundaries
from pivot.protocol.generated.inference.inference.params_pb2 import EpochParams
from pivot.protocol.generated.inference.inference.query_pb2 import QueryEpochInfoResponse
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, EpochBoundaries
from pivot.protocol.parameters import preset_params

PARAMS: EpochParams = preset_params("test").epoch_params
FIRST = PARAMS.epoch_shift


def epoch(index: int) -> Epoch:
    if index == 0:
        return Epoch(index=0, boundaries=EpochBoundaries(next_poc_start=FIRST))
    start = FIRST + (index - 1) * PARAMS.epoch_length
    return Epoch(index=index, poc_start_block_height=start, boundaries=boundaries(PARAMS, start))


class FakeNetwork:
    """Heads and epoch records of a network that stands at `height`."""

    def __init__(self) -> None:
        self.newest: Head | None = None
        self.synced = True
        self.asked: list[int] = []
        self.lag = 0
        self.away = False
        self._heads: asyncio.Queue[Head] = asyncio.Queue()

    def block(self, height: int) -> None:
        self.newest = Head(height, height * 10**9, b"h" * 32)
        self._heads.put_nowait(self.newest)

    async def next(self) -> Head:
        return await self._heads.get()

    async def new_block(self, height: int) -> QueryEpochInfoResponse:
        self.asked.append(height)
        if self.away:
            raise ChainUnavailable("nobody answers")
        seen = height - self.lag
        latest = max((index for index in range(10) if index and epoch(index).boundaries.poc_start <= seen), default=0)
        switched = latest and epoch(latest).boundaries.set_new_validators <= seen
        return QueryEpochInfoResponse(
            block_height=seen,
            latest_epoch=epoch(latest),
            effective_epoch=epoch(latest if switched else max(latest - 1, 0)),
            next_poc_start=epoch(latest).boundaries.next_poc_start,
        )


@pytest.fixture
def network() -> FakeNetwork:
    return FakeNetwork()


@pytest.fixture
async def keeper(network: FakeNetwork) -> AsyncIterator[PhaseKeeper]:
    keeper = PhaseKeeper(network, network, retry_s=0.01)
    await keeper.start()
    yield keeper
    await keeper.close()


async def at(keeper: PhaseKeeper, height: int) -> Moment:
    moment = await keeper.wait_for(lambda moment: moment.head.height >= height, 10)
    assert moment is not None
    return moment


async def test_before_the_first_block_there_is_no_moment(keeper: PhaseKeeper) -> None:
    assert keeper.moment is None


async def test_before_the_first_sprint_there_is_no_epoch_to_serve(network: FakeNetwork, keeper: PhaseKeeper) -> None:
    network.block(1)
    moment = await at(keeper, 1)
    assert (moment.latest.index, moment.effective.index, moment.phase) == (0, 0, Phase.INFERENCE)
    assert (moment.next_poc_start, moment.synced) == (FIRST, True)


async def test_phases_follow_the_epochs_own_heights(network: FakeNetwork, keeper: PhaseKeeper) -> None:
    marks = epoch(1).boundaries
    for height, phase, effective in [
        (marks.poc_start, Phase.POC_GENERATE, 0),
        (marks.poc_generation_end, Phase.POC_GENERATE_WIND_DOWN, 0),
        (marks.poc_validation_start, Phase.POC_VALIDATE, 0),
        (marks.poc_validation_wind_down, Phase.POC_VALIDATE_WIND_DOWN, 0),
        (marks.poc_validation_end, Phase.INFERENCE, 0),
        (marks.set_new_validators, Phase.INFERENCE, 1),
    ]:
        network.block(height)
        moment = await at(keeper, height)
        assert (moment.phase, moment.latest.index, moment.effective.index) == (phase, 1, effective)
        assert moment.next_poc_start == marks.next_poc_start


async def test_one_query_per_block(network: FakeNetwork, keeper: PhaseKeeper) -> None:
    for height in (1, 2, 3):
        network.block(height)
        await at(keeper, height)
    assert network.asked == [1, 2, 3]


async def test_a14_listeners_are_called_one_after_the_other(network: FakeNetwork, keeper: PhaseKeeper) -> None:
    calls: list[tuple[str, int]] = []
    done = asyncio.Event()

    async def first(moment: Moment) -> None:
        await asyncio.sleep(0.01)
        calls.append(("first", moment.head.height))

    async def second(moment: Moment) -> None:
        calls.append(("second", moment.head.height))
        if moment.head.height == 2:
            done.set()

    keeper.listen(first)
    keeper.listen(second)
    network.block(1)
    await at(keeper, 1)
    network.block(2)
    async with asyncio.timeout(10):
        await done.wait()
    assert calls == [("first", 1), ("second", 1), ("first", 2), ("second", 2)]


async def test_a15_a_gap_over_a_whole_sprint_still_shows_where_the_network_stands(
    network: FakeNetwork, keeper: PhaseKeeper
) -> None:
    seen: list[Moment] = []

    async def listener(moment: Moment) -> None:
        seen.append(moment)

    keeper.listen(listener)
    network.block(1)
    await at(keeper, 1)
    network.block(epoch(3).boundaries.poc_start + 1)
    moment = await at(keeper, 2)
    assert (moment.latest.index, moment.effective.index, moment.phase) == (3, 2, Phase.POC_GENERATE)
    await asyncio.sleep(0)
    assert [moment.head.height for moment in seen] == [1, epoch(3).boundaries.poc_start + 1]


async def test_a_listener_that_fails_does_not_stop_the_others(
    network: FakeNetwork, keeper: PhaseKeeper, caplog: pytest.LogCaptureFixture
) -> None:
    heights: list[int] = []

    async def failing(_: Moment) -> None:
        raise RuntimeError("a bug")

    async def listener(moment: Moment) -> None:
        heights.append(moment.head.height)

    keeper.listen(failing)
    keeper.listen(listener)
    for height in (1, 2):
        network.block(height)
        await at(keeper, height)
    await asyncio.sleep(0)
    assert heights == [1, 2]
    assert "a bug" in caplog.text


async def test_a_gateway_that_is_away_delays_the_moment(network: FakeNetwork, keeper: PhaseKeeper) -> None:
    network.away = True
    network.block(1)
    network.block(2)
    async with asyncio.timeout(10):
        while len(network.asked) < 3:
            await asyncio.sleep(0.005)
    assert keeper.moment is None
    network.away = False
    assert (await at(keeper, 1)).head.height == 2
    network.block(3)
    await at(keeper, 3)
    assert network.asked.count(3) == 1


async def test_an_answer_from_before_the_block_is_not_taken(network: FakeNetwork, keeper: PhaseKeeper) -> None:
    network.lag = 1
    network.block(FIRST)
    async with asyncio.timeout(10):
        while len(network.asked) < 3:
            await asyncio.sleep(0.005)
    assert keeper.moment is None
    network.lag = 0
    assert (await at(keeper, FIRST)).phase is Phase.POC_GENERATE


async def test_a_gateway_that_is_always_behind_is_believed_in_the_end(
    network: FakeNetwork, keeper: PhaseKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phases_module, "MAX_LAGGING_ANSWERS", 2)
    network.lag = 1
    network.block(5)
    assert (await at(keeper, 5)).head.height == 5
    assert network.asked == [5, 5, 5]


async def test_an_epoch_that_began_after_the_block_is_not_seen(network: FakeNetwork) -> None:
    info = QueryEpochInfoResponse(block_height=FIRST, latest_epoch=epoch(1), effective_epoch=epoch(0))
    moment = phases_module.moment_at(Head(FIRST - 1, 0, b""), info, synced=True)
    assert (moment.latest.index, moment.phase, moment.next_poc_start) == (0, Phase.INFERENCE, FIRST)


async def test_waiting_ends_with_the_time(network: FakeNetwork, keeper: PhaseKeeper) -> None:
    assert await keeper.wait_for(lambda _: True, 0.01) is None


async def test_what_a_condition_raises_is_the_callers(network: FakeNetwork, keeper: PhaseKeeper) -> None:
    waiting = asyncio.create_task(keeper.wait_for(lambda moment: moment.head.height // 0 > 0, 10))
    await asyncio.sleep(0)
    network.block(1)
    with pytest.raises(ZeroDivisionError):
        await waiting
    assert (await at(keeper, 1)).head.height == 1
