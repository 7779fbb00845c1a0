"""Where gas has no price: what strangers could do with coins that stand behind their transactions."""

import pytest
from cosmos.feegrant.v1beta1.feegrant_pb2 import BasicAllowance
from cosmos.feegrant.v1beta1.tx_pb2 import MsgGrantAllowance

from pivot.chain.modules.bank import quota
from pivot.chain.modules.bank.state import spendable
from pivot.primitives.keys import PrivateKey
from pivot.protocol.messages import pack
from tests.chain.chain import Chain
from tests.chain.test_fees import COINS, LARGE, STRANGER, WARM, held_chain, registered, send

GRANTED = MsgGrantAllowance(
    granter=LARGE.address,
    grantee=WARM.address,
    allowance=pack(BasicAllowance(spend_limit=[{"denom": "ngonka", "amount": "1"}])),
)


@pytest.fixture
def chain() -> Chain:
    """`LARGE` has some coins: enough for a few transactions in a window."""
    made = held_chain()
    made.deliver(LARGE, send(LARGE, COINS - 400_000 - quota.held(made.state, LARGE.address)))
    made.time += quota.WINDOW_NS
    made.block()
    return made


def flood(chain: Chain, sender: PrivateKey, granter: str | None = None) -> int:
    """As many transactions as are let in, each of which does nothing. Returns their number; a dozen is all."""
    options = {} if granter is None else {"fee_granter": granter}
    for sent in range(12):
        if chain.deliver(sender, registered(chain, STRANGER, sender), **options).code:
            return sent
    return 12


def require_free(chain: Chain) -> None:
    """Half of what `LARGE` has is its own still: it can send, and pay."""
    assert spendable(chain.state, LARGE.address) >= chain.balance(LARGE.address) // 2
    assert chain.deliver(LARGE, send(LARGE, 1)).code == 0


def test_d3_whom_a_host_has_registered_cannot_lock_up_all_its_coins(chain: Chain) -> None:
    """Any API node registers any stranger, whose transactions then count against the host."""
    assert chain.deliver(LARGE, registered(chain, WARM)).code == 0
    assert 0 < flood(chain, WARM) < 12
    require_free(chain)


def test_d3_an_allowance_of_one_coin_does_not_lock_up_all_that_its_granter_has(chain: Chain) -> None:
    """Where there is no fee an allowance is never used up; what stands behind the transactions is the granter's."""
    assert chain.deliver(LARGE, GRANTED).code == 0
    assert 0 < flood(chain, WARM, LARGE.address) < 12
    require_free(chain)


def test_d3_nobody_stands_for_an_account_without_its_own_doing(chain: Chain) -> None:
    assert chain.deliver(LARGE, send(LARGE, 1, WARM)).code == 0
    before = quota.held(chain.state, LARGE.address)
    assert flood(chain, WARM) == 0
    assert flood(chain, WARM, LARGE.address) == 0
    assert quota.held(chain.state, LARGE.address) == before
