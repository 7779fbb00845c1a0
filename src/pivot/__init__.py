"""Pivot: a decentralised network that serves large language models."""
