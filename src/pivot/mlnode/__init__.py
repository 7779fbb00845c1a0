"""The ML node: proof of compute, inference and training on one machine, one of them at a time."""
