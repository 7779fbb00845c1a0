"""One node at a time in a home and on a database, and one host for good."""
