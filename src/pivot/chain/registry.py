"""The two tables of the chain: every message it understands, every query it answers. A new module is one line in each."""

from pivot.chain.handlers import MessageTable, QueryTable
from pivot.chain.modules.auth import queries as auth_queries
from pivot.chain.modules.authz import messages as authz
from pivot.chain.modules.authz import queries as authz_queries
from pivot.chain.modules.bank import messages as bank
from pivot.chain.modules.bank import queries as bank_queries
from pivot.chain.modules.params import queries as params_queries

_OF_MODULES = [
    *bank.MESSAGES,
]

MESSAGES = MessageTable([*_OF_MODULES, *authz.messages(_OF_MODULES)])

QUERIES = QueryTable(
    [
        *auth_queries.QUERIES,
        *authz_queries.QUERIES,
        *bank_queries.QUERIES,
        *params_queries.QUERIES,
    ]
)
