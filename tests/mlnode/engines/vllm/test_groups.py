from __future__ import annotations

import asyncio

import pytest

from pivot.mlnode.devices import Device
from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.engines.vllm.groups import grouped, visible
from tests.mlnode.engines.kinds import devices


def names(found: object) -> list[str]:
    return [each.name for each in found]  # type: ignore[attr-defined]


@pytest.fixture
def eight() -> list[Device]:
    return asyncio.run(devices(8)())


@pytest.mark.parametrize(
    ("restriction", "expected"),
    [
        (None, ["0", "1", "2", "3", "4", "5", "6", "7"]),
        ("2,5", ["2", "5"]),
        ("5, 2", ["5", "2"]),
        ("GPU-3333,GPU-1", ["GPU-3333", "GPU-1"]),
        ("MIG-abc", ["MIG-abc"]),
        ("", []),
        ("-1", []),
        ("1,-1,2", ["1"]),
        ("0,8,1", ["0"]),
    ],
)
def test_m11_a_restriction_from_outside_is_kept(
    eight: list[Device], restriction: str | None, expected: list[str]
) -> None:
    assert names(visible(eight, restriction)) == expected


def test_m11_groups_are_made_of_the_restrictions_own_entries(eight: list[Device]) -> None:
    groups = grouped(visible(eight, "7,5,3,2,1"), 2)
    assert [names(group) for group in groups.groups] == [["7", "5"], ["3", "2"]]
    assert names(groups.unused) == ["1"]


def test_a_machine_without_devices_has_one_group_of_none() -> None:
    assert grouped([], 4).groups == ((),)


def test_too_few_devices_are_a_sentence(eight: list[Device]) -> None:
    with pytest.raises(EngineFailed, match="ask for 16 devices, and this node has 8"):
        grouped(visible(eight, None), 16)
