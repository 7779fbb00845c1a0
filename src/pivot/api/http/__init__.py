"""The API node's three HTTP listeners: public, call-backs of ML nodes, admin."""
