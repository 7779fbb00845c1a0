"""Who may be taken for whom."""

import pytest

from pivot.api.between_hosts.signatures import FRESHNESS_NS, Signatures, signed_headers
from pivot.api.http.errors import ApiError
from tests.api.fleet.chain import FakeChain, key

ASKER, GRANTEE, STRANGER = key(1), key(2), key(3)
NOW = 1_800_000_000 * 10**9


def words(timestamp_ns: int) -> bytes:
    return b"a question at %d" % timestamp_ns


@pytest.fixture
def signatures() -> Signatures:
    chain = FakeChain(keys={ASKER.address: [ASKER.public_key, GRANTEE.public_key]})
    return Signatures(chain, now_ns=lambda: NOW)


@pytest.mark.parametrize("age_ns", [-FRESHNESS_NS, 0, FRESHNESS_NS])
async def test_who_has_signed_is_known(signatures: Signatures, age_ns: int) -> None:
    headers = signed_headers(ASKER, words, NOW - age_ns)
    assert await signatures.require(headers, words, "/any") == ASKER.address


async def test_a_key_that_may_send_the_message_may_ask_in_the_hosts_name(signatures: Signatures) -> None:
    headers = signed_headers(GRANTEE, words, NOW) | {"X-Requester-Address": ASKER.address}
    assert await signatures.require(headers, words, "/any") == ASKER.address


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        ({"X-Requester-Address": ""}, 401, "X-Requester-Address is required"),
        ({"X-Requester-Address": STRANGER.address}, 401, "does not cover"),
        ({"X-Timestamp": ""}, 400, "X-Timestamp must be"),
        ({"X-Timestamp": "soon"}, 400, "X-Timestamp must be"),
        ({"X-Timestamp": "1" * 20}, 400, "X-Timestamp must be"),
        ({"X-Timestamp": str(NOW - FRESHNESS_NS - 1)}, 400, "too far from this host's clock"),
        ({"X-Timestamp": str(NOW + FRESHNESS_NS + 1)}, 400, "too far from this host's clock"),
        ({"X-Timestamp": str(NOW + 1)}, 401, "does not cover"),
        ({"Authorization": "???"}, 401, "base64"),
        ({"Authorization": STRANGER.sign_base64(words(NOW))}, 401, "does not cover"),
    ],
)
async def test_a21_whoever_is_not_known_is_told_why(
    signatures: Signatures, changes: dict[str, str], status: int, sentence: str
) -> None:
    with pytest.raises(ApiError, match=sentence) as refusal:
        await signatures.require(signed_headers(ASKER, words, NOW) | changes, words, "/any")
    assert refusal.value.status == status
