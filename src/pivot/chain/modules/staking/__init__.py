"""Validators in the shape in which wallets and explorers of Cosmos chains ask for them. Nobody delegates here."""
