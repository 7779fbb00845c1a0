"""The two tables of the chain: every message it understands, every query it answers. A new one is one line here."""

from pivot.chain.handlers import MessageTable, QueryTable

MESSAGES = MessageTable([])

QUERIES = QueryTable([])
