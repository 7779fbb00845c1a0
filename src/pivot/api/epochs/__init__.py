"""The epochs that ask duties of this host."""
