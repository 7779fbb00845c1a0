"""What holds after every block."""

from pivot.chain.modules.restrictions.checks import InvalidRestrictions, check_restriction_params
from pivot.chain.modules.restrictions.state import is_lifted, restriction_params, usages
from pivot.chain.types import Reader
from pivot.primitives.addresses import InvalidAddress, to_bytes


def check_restrictions(state: Reader) -> None:
    """Exemptions can be read, uses are an account's and counted from 1, and only what had an end is lifted.

    Uses may exceed a limit: governance can lower it after they were made. Raises AssertionError.
    """
    params = restriction_params(state)
    try:
        check_restriction_params(params)
        for usage in usages(state):
            to_bytes(usage.account_address)
            if not usage.usage_count:
                raise AssertionError(f"{usage.account_address} has used {usage.exemption_id!r} no times")
    except (InvalidRestrictions, InvalidAddress) as error:
        raise AssertionError(f"the restriction contradicts itself: {error}") from None
    if is_lifted(state) and not params.restriction_end_block:
        raise AssertionError("a restriction without an end is lifted")
