"""The models that the network serves, and what a token of each costs."""
