"""A block's hash follows from its header, as the engine computes it."""

import pytest

from pivot.api.ledger.header import head_of, time_ns

HEADER = {
    "version": {"block": "11", "app": "1"},
    "chain_id": "test-chain-46vzB6",
    "height": "57",
    "time": "2026-11-25T17:52:10.022637891Z",
    "last_block_id": {
        "hash": "83B655B3B40405C7603771562DEAF8975D6EEBF45A6F7A54992D0C59258B90B9",
        "parts": {"total": 1, "hash": "5229B2C6998115609B47CD6C5C87AC7A23D717D059B980D37E7424400FA9B55B"},
    },
    "last_commit_hash": "D2EBA92C42064C2623A4BB9957BAA9D83AC3DDC65A0A1645E5FEAD543A0DF479",
    "data_hash": "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    "validators_hash": "75194AA69BCF89084DDFDDF4563207D63FD7EBCDEBCA1EBAFF47FDFF810EAB73",
    "next_validators_hash": "75194AA69BCF89084DDFDDF4563207D63FD7EBCDEBCA1EBAFF47FDFF810EAB73",
    "consensus_hash": "048091BC7DDC283F77BFBF91D73C44DA58C3DF8A9CBC867405D8B7F3DAADA22F",
    "app_hash": "0200000000000000",
    "last_results_hash": "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    "evidence_hash": "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    "proposer_address": "0CAFA8B0EF90DEF5E686095DE2C550F01FEA4080",
}
"""Block 57 of a CometBFT 0.38.26 that ran its own key-value application; the next block names its hash."""
HASH_IN_THE_NEXT_BLOCK = "1FE7800E86D7D8652920CCB5E18491A5FA1D83BB8A79628A03171B5B10C0C1B2"


def test_a_headers_hash_is_the_one_that_the_next_block_names() -> None:
    head = head_of(HEADER)
    assert head.hash.hex().upper() == HASH_IN_THE_NEXT_BLOCK
    assert head.height == 57


@pytest.mark.parametrize("name", sorted(HEADER))
def test_every_field_of_the_header_decides_the_hash(name: str) -> None:
    other = {"version": {"block": "12", "app": "1"}, "chain_id": "x", "height": "58", "time": "2026-11-25T17:52:10Z"}
    last = {"hash": "00" * 32, "parts": {"total": 1, "hash": "00" * 32}}
    changed = {**HEADER, name: {**other, "last_block_id": last}.get(name, "00" * 32)}
    assert head_of(changed).hash.hex().upper() != HASH_IN_THE_NEXT_BLOCK


def test_the_first_block_has_no_block_before_it() -> None:
    first = {**HEADER, "last_block_id": {"hash": "", "parts": {"total": 0, "hash": ""}}, "version": {"block": "11"}}
    assert len(head_of(first).hash) == 32


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T00:00:01.000000001Z", 1_000_000_001),
    ],
)
def test_block_time_keeps_its_nanoseconds(text: str, nanoseconds: int) -> None:
    assert time_ns(text) == nanoseconds
