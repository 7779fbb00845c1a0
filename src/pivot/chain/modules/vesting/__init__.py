"""Coins that an account holds and may not spend yet: the vesting accounts of the Cosmos SDK."""
