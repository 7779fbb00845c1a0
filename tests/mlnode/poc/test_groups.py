from __future__ import annotations

import sys

import pytest

from pivot.mlnode.devices import Device
from pivot.mlnode.poc import groups
from pivot.mlnode.poc.frames import Backend
from pivot.mlnode.poc.groups import groups_of, visible_devices, workers_on
from pivot.mlnode.poc.work import Work
from pivot.mlnode.watches import DeviceWatch
from pivot.protocol.sprint import SPRINT_PRESETS

MAINNET = SPRINT_PRESETS["mainnet"]
ANOTHER = "/opt/vllm/bin/python"


def cards(count: int, gib: int | None = 80) -> list[Device]:
    return [
        Device(index=i, uuid=f"GPU-{i:04}", name="card", memory_total_mib=gib and gib * 1024, driver="550")
        for i in range(count)
    ]


def sizes(count: int, gib: int | None, preset: str = "mainnet") -> list[int]:
    return [len(group) for group in groups_of(cards(count, gib), SPRINT_PRESETS[preset])]


@pytest.mark.parametrize(
    ("count", "gib", "expected"),
    [
        (8, 141, [1] * 8),
        (8, 80, [1] * 8),
        (2, 48, [1, 1]),
        (8, 40, [1] * 8),
        (8, 32, [2] * 4),
        (5, 32, [2, 3]),
        (8, 16, [4, 4]),
        (1, 24, [1]),
        (3, None, [3]),
        (0, 80, []),
    ],
)
def test_there_are_as_many_groups_as_fit_and_no_card_is_left_over(
    count: int, gib: int | None, expected: list[int]
) -> None:
    assert sizes(count, gib) == expected


def test_a_small_model_fits_every_card() -> None:
    assert sizes(3, 16, "small") == [1, 1, 1]
    assert groups_of(cards(3, 16), SPRINT_PRESETS["devnet"]) == [("GPU-0000",), ("GPU-0001",), ("GPU-0002",)]


def test_each_card_is_in_one_group() -> None:
    for count in range(1, 12):
        for gib in (8, 16, 24, 48):
            found = groups_of(cards(count, gib), MAINNET)
            assert [card for group in found for card in group] == [card.uuid for card in cards(count)]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [0, 1, 2, 3]),
        ("", []),
        ("2", [2]),
        ("3, 1", [3, 1]),
        ("GPU-0002,GPU-0000", [2, 0]),
        ("0,-1,2", [0]),
        ("7", []),
        ("1,,2", [1]),
    ],
)
def test_m11_workers_use_the_cards_that_the_node_was_given_and_no_others(
    visible: str | None, expected: list[int]
) -> None:
    assert [device.index for device in visible_devices(cards(4), visible)] == expected


def torch_is_in(monkeypatch: pytest.MonkeyPatch, *pythons: str) -> None:
    async def has_torch(python: str) -> bool:
        return python in pythons

    monkeypatch.setattr(groups, "has_torch", has_torch)


@pytest.mark.parametrize(
    ("torch", "expected", "python"), [(True, [("GPU-0001",)], ANOTHER), (False, [()], sys.executable)]
)
async def test_a_worker_is_made_for_each_group_where_torch_is_installed(
    monkeypatch: pytest.MonkeyPatch, torch: bool, expected: list[tuple[str, ...]], python: str
) -> None:
    async def query() -> list[Device]:
        return cards(2)

    torch_is_in(monkeypatch, *([ANOTHER] if torch else []))
    made = await workers_on(DeviceWatch(query), "1", python=ANOTHER)(Work(), MAINNET, bytes(32))
    assert [worker.devices for worker in made] == expected
    assert {worker._python for worker in made} == {python}


@pytest.mark.parametrize(("backend", "expected"), [("numpy", [()]), ("torch", [("GPU-0000",), ("GPU-0001",)])])
async def test_a_node_may_say_what_computes(
    monkeypatch: pytest.MonkeyPatch, backend: Backend, expected: list[tuple[str, ...]]
) -> None:
    async def query() -> list[Device]:
        return cards(2)

    torch_is_in(monkeypatch)
    made = await workers_on(DeviceWatch(query), None, backend, ANOTHER)(Work(), MAINNET, bytes(32))
    assert [worker.devices for worker in made] == expected
    assert {worker._sprint.backend for worker in made} == {backend}
    assert {worker._python for worker in made} == {ANOTHER if backend == "torch" else sys.executable}


async def test_without_cards_there_is_one_worker_on_the_cpu() -> None:
    async def nothing() -> None:
        return None

    make = workers_on(DeviceWatch(nothing), None)
    assert [worker.devices for worker in await make(Work(), MAINNET, bytes(32))] == [()]
