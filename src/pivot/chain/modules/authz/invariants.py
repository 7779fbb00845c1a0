"""What holds after every block."""

from cosmos.authz.v1beta1.authz_pb2 import Grant

from pivot.chain.modules.authz.state import BY_GRANTEE_PREFIX, EXPIRY_PREFIX, GRANT_PREFIX, STORE
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader


def check_permissions(state: Reader) -> None:
    """Every permission is found by its grantee and, if it ends, by its end; nothing else is. Raises AssertionError."""
    given = [Grant.FromString(row) for row in _rows(state, GRANT_PREFIX)]
    ending = sum(1 for each in given if each.HasField("expiration"))
    found = [len(_rows(state, prefix)) for prefix in (BY_GRANTEE_PREFIX, EXPIRY_PREFIX)]
    if found != [len(given), ending]:
        raise AssertionError(
            f"there are {len(given)} permissions, {ending} of them with an end,"
            f" but {found[0]} and {found[1]} rows to find them"
        )


def _rows(state: Reader, prefix: bytes) -> list[bytes]:
    return [row for _, row in state.iterate(STORE, prefix, prefix_end(prefix))]
