"""The host's side of proof of compute: its sprint, its leaves, and its checks of other hosts."""
