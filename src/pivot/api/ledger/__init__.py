"""The chain seen from outside: queries, blocks, transactions. The rest of the API node knows it only through `interface`."""
