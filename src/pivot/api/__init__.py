"""The API node: everything that users, developers and ML nodes of one host talk to."""
