"""The engine's door: ABCI 2.0 over a unix socket."""
