"""The two tables of the chain: every message it understands, every query it answers. A new module is one line in each."""

from pivot.chain.handlers import MessageTable, QueryTable
from pivot.chain.modules.auth import queries as auth_queries
from pivot.chain.modules.authz import messages as authz
from pivot.chain.modules.authz import queries as authz_queries
from pivot.chain.modules.bank import community_pool, quota
from pivot.chain.modules.bank import messages as bank
from pivot.chain.modules.bank import queries as bank_queries
from pivot.chain.modules.bank.state import lock_by
from pivot.chain.modules.collateral import messages as collateral
from pivot.chain.modules.collateral import queries as collateral_queries
from pivot.chain.modules.disputes import messages as disputes
from pivot.chain.modules.disputes import queries as disputes_queries
from pivot.chain.modules.epochs import queries as epochs_queries
from pivot.chain.modules.evidence import queries as evidence_queries
from pivot.chain.modules.feegrant import messages as feegrant
from pivot.chain.modules.feegrant import queries as feegrant_queries
from pivot.chain.modules.gov import governed
from pivot.chain.modules.gov import messages as gov
from pivot.chain.modules.gov import queries as gov_queries
from pivot.chain.modules.gov import v1beta1_messages as gov_v1beta1
from pivot.chain.modules.gov import v1beta1_queries as gov_v1beta1_queries
from pivot.chain.modules.inferences import messages as inferences
from pivot.chain.modules.inferences import queries as inferences_queries
from pivot.chain.modules.members import queries as members_queries
from pivot.chain.modules.models import messages as models
from pivot.chain.modules.models import queries as models_queries
from pivot.chain.modules.params import messages as params
from pivot.chain.modules.params import queries as params_queries
from pivot.chain.modules.partial_upgrades import messages as partial_upgrades
from pivot.chain.modules.partial_upgrades import queries as partial_upgrades_queries
from pivot.chain.modules.participants import messages as participants
from pivot.chain.modules.participants import queries as participants_queries
from pivot.chain.modules.poc import messages as poc
from pivot.chain.modules.poc import queries as poc_queries
from pivot.chain.modules.pricing import queries as pricing_queries
from pivot.chain.modules.randomness import queries as randomness_queries
from pivot.chain.modules.restrictions import messages as restrictions
from pivot.chain.modules.restrictions import queries as restrictions_queries
from pivot.chain.modules.rewards import messages as rewards
from pivot.chain.modules.rewards import queries as rewards_queries
from pivot.chain.modules.slashing import messages as slashing
from pivot.chain.modules.slashing import queries as slashing_queries
from pivot.chain.modules.staking import distribution as distribution_queries
from pivot.chain.modules.staking import inflation
from pivot.chain.modules.staking import queries as staking_queries
from pivot.chain.modules.statistics import queries as statistics_queries
from pivot.chain.modules.status import queries as status_queries
from pivot.chain.modules.streamvesting import queries as streamvesting_queries
from pivot.chain.modules.training import messages as training
from pivot.chain.modules.training import queries as training_queries
from pivot.chain.modules.upgrade import messages as upgrade
from pivot.chain.modules.upgrade import queries as upgrade_queries
from pivot.chain.modules.validation import messages as validation
from pivot.chain.modules.validation import queries as validation_queries
from pivot.chain.modules.vesting import messages as vesting
from pivot.chain.modules.vesting.state import locked

_OF_MODULES = [
    *bank.MESSAGES,
    *collateral.MESSAGES,
    *feegrant.MESSAGES,
    *governed.MESSAGES,
    *models.MESSAGES,
    *params.MESSAGES,
    *partial_upgrades.MESSAGES,
    *participants.MESSAGES,
    *upgrade.MESSAGES,
    *validation.MESSAGES,
    *disputes.MESSAGES,
    *poc.MESSAGES,
    *inferences.MESSAGES,
    *rewards.MESSAGES,
    *restrictions.MESSAGES,
    *slashing.MESSAGES,
    *training.MESSAGES,
    *vesting.MESSAGES,
]

GOVERNED = governed.governed(_OF_MODULES)
"""What a proposal may carry."""
_OF_GOVERNANCE = gov.messages(GOVERNED)
_WITH_PROPOSALS = [*_OF_MODULES, *_OF_GOVERNANCE, *gov_v1beta1.messages(_OF_GOVERNANCE)]
MESSAGES = MessageTable([*_WITH_PROPOSALS, *authz.messages(_WITH_PROPOSALS)])

QUERIES = QueryTable(
    [
        *auth_queries.QUERIES,
        *authz_queries.QUERIES,
        *bank_queries.QUERIES,
        *community_pool.QUERIES,
        *collateral_queries.QUERIES,
        *disputes_queries.QUERIES,
        *epochs_queries.QUERIES,
        *evidence_queries.QUERIES,
        *feegrant_queries.QUERIES,
        *gov_queries.QUERIES,
        *gov_v1beta1_queries.QUERIES,
        *inferences_queries.QUERIES,
        *members_queries.QUERIES,
        *models_queries.QUERIES,
        *params_queries.QUERIES,
        *partial_upgrades_queries.QUERIES,
        *participants_queries.QUERIES,
        *poc_queries.QUERIES,
        *pricing_queries.QUERIES,
        *randomness_queries.QUERIES,
        *status_queries.QUERIES,
        *validation_queries.QUERIES,
        *restrictions_queries.QUERIES,
        *rewards_queries.QUERIES,
        *slashing_queries.QUERIES,
        *distribution_queries.QUERIES,
        *staking_queries.QUERIES,
        *inflation.QUERIES,
        *statistics_queries.QUERIES,
        *streamvesting_queries.QUERIES,
        *training_queries.QUERIES,
        *upgrade_queries.QUERIES,
    ]
)

lock_by(quota.held)
lock_by(locked)
