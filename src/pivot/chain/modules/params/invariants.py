"""What holds after every block."""

from pivot.chain.modules.params.state import genesis_only_params, params
from pivot.chain.types import Reader
from pivot.protocol.parameters import InvalidParameters, check_genesis_only_params, check_params


def check_parameters(state: Reader) -> None:
    """The parameters that hold now are such as a genesis or a vote may set. Raises AssertionError."""
    try:
        check_params(params(state))
        check_genesis_only_params(genesis_only_params(state))
    except InvalidParameters as error:
        raise AssertionError(f"the parameters contradict themselves: {error}") from None
