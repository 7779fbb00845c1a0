"""One request from its arrival to its settlement, as transfer agent and as executor."""
