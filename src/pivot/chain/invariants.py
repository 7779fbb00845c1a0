"""What holds after every block: one line for each invariant of a module. Tests and the simulation check them all."""

from collections.abc import Callable

from pivot.chain.modules.auth.invariants import check_numbers
from pivot.chain.modules.authz.invariants import check_permissions
from pivot.chain.modules.bank.invariants import check_supply
from pivot.chain.modules.collateral.invariants import check_collateral
from pivot.chain.modules.disputes.invariants import check_disputes
from pivot.chain.modules.epochs.invariants import check_calendar
from pivot.chain.modules.evidence.invariants import check_evidence
from pivot.chain.modules.feegrant.invariants import check_allowances
from pivot.chain.modules.gov.invariants import check_deposits, check_proposals
from pivot.chain.modules.inferences.invariants import check_escrow, check_records, check_shares
from pivot.chain.modules.members.invariants import check_formation, check_groups
from pivot.chain.modules.models.invariants import check_models
from pivot.chain.modules.params.invariants import check_parameters
from pivot.chain.modules.partial_upgrades.invariants import check_partial_upgrades
from pivot.chain.modules.participants.invariants import check_consensus_keys, check_node_numbers
from pivot.chain.modules.poc.invariants import check_commits, check_votes
from pivot.chain.modules.pricing.invariants import check_prices
from pivot.chain.modules.randomness.invariants import check_counted_elements, check_hash_chains
from pivot.chain.modules.restrictions.invariants import check_restrictions
from pivot.chain.modules.rewards.invariants import check_rewards
from pivot.chain.modules.slashing.invariants import check_signing
from pivot.chain.modules.statistics.invariants import check_totals
from pivot.chain.modules.status.invariants import check_standings
from pivot.chain.modules.streamvesting.invariants import check_schedules
from pivot.chain.modules.training.invariants import (
    check_training_deposits,
    check_training_runs,
    check_training_tasks,
)
from pivot.chain.modules.upgrade.invariants import check_plans
from pivot.chain.modules.validation.invariants import check_duties, check_segments
from pivot.chain.modules.validators.invariants import check_powers
from pivot.chain.modules.vesting.invariants import check_locks
from pivot.chain.types import Reader

INVARIANTS: tuple[Callable[[Reader], None], ...] = (
    check_numbers,
    check_supply,
    check_allowances,
    check_deposits,
    check_proposals,
    check_escrow,
    check_records,
    check_shares,
    check_segments,
    check_duties,
    check_disputes,
    check_standings,
    check_groups,
    check_formation,
    check_consensus_keys,
    check_node_numbers,
    check_powers,
    check_signing,
    check_collateral,
    check_schedules,
    check_prices,
    check_rewards,
    check_permissions,
    check_calendar,
    check_evidence,
    check_models,
    check_parameters,
    check_partial_upgrades,
    check_commits,
    check_votes,
    check_hash_chains,
    check_counted_elements,
    check_restrictions,
    check_totals,
    check_plans,
    check_locks,
    check_training_deposits,
    check_training_tasks,
    check_training_runs,
)
"""Each raises AssertionError with the rows that contradict each other. Costs grow with the whole state."""
