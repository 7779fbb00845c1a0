"""What the parameters of the restriction must look like."""

from pivot.chain.modules.restrictions.transfers import ANYBODY
from pivot.primitives.addresses import InvalidAddress, to_bytes
from pivot.primitives.coins import InvalidCoin, parse_amount
from pivot.primitives.numbers import MAX_INT64
from pivot.protocol.generated.inference.restrictions.types_pb2 import EmergencyTransferExemption, Params

MAX_EXEMPTIONS = 100
MAX_EXEMPTION_ID = 64
"""Characters of an exemption's id."""
MAX_JUSTIFICATION = 1_000
"""Characters of the reason for an exemption."""


class InvalidRestrictions(ValueError):
    """Parameters of which a field cannot be so; the sentence names it."""


def check_restriction_params(params: Params) -> None:
    """Refuse parameters that no transfer could be held against. Raises InvalidRestrictions."""
    if params.restriction_end_block > MAX_INT64:
        raise InvalidRestrictions(f"restriction_end_block must be {MAX_INT64} at most")
    exemptions = params.emergency_transfer_exemptions
    if len(exemptions) > MAX_EXEMPTIONS:
        raise InvalidRestrictions(f"emergency_transfer_exemptions: at most {MAX_EXEMPTIONS}, not {len(exemptions)}")
    if len({each.exemption_id for each in exemptions}) != len(exemptions):
        raise InvalidRestrictions("emergency_transfer_exemptions: an exemption_id stands there twice")
    for each in exemptions:
        _check_exemption(each)


def _check_exemption(exemption: EmergencyTransferExemption) -> None:
    name = exemption.exemption_id
    if not 0 < len(name) <= MAX_EXEMPTION_ID or "/" in name or not name.isascii():
        raise InvalidRestrictions(
            f"exemption_id {name[:80]!r} is not 1 to {MAX_EXEMPTION_ID} ASCII characters without a slash"
        )
    for field in ("from_address", "to_address"):
        _check_party(name, field, getattr(exemption, field))
    try:
        parse_amount(exemption.max_amount)
    except InvalidCoin as error:
        raise InvalidRestrictions(f"exemption {name!r}: max_amount: {error}") from None
    if not exemption.usage_limit:
        raise InvalidRestrictions(f"exemption {name!r}: usage_limit must be above 0")
    if not 0 < exemption.expiry_block <= MAX_INT64:
        raise InvalidRestrictions(f"exemption {name!r}: expiry_block must be between 1 and {MAX_INT64}")
    if not 0 < len(exemption.justification) <= MAX_JUSTIFICATION:
        raise InvalidRestrictions(f"exemption {name!r}: justification has 1 to {MAX_JUSTIFICATION} characters")


def _check_party(name: str, field: str, party: str) -> None:
    if party == ANYBODY:
        return
    try:
        to_bytes(party)
    except InvalidAddress as error:
        raise InvalidRestrictions(f"exemption {name!r}: {field}: {error}") from None
