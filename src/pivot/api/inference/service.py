"""The request path of an API node: transfer agent and executor, and what both keep."""

from contextlib import AbstractContextManager

import aiohttp

from pivot.api.database import Database
from pivot.api.each_moment import EachMoment
from pivot.api.fleet.interface import Fleet
from pivot.api.identity import Identity
from pivot.api.inference import artifacts, retention
from pivot.api.inference.access import Access, Order, time_window
from pivot.api.inference.execution import Execution
from pivot.api.inference.funds import Funds
from pivot.api.inference.market import Market
from pivot.api.inference.peers import Peers
from pivot.api.inference.request import LONGEST_BODY_BYTES
from pivot.api.inference.transfer import Transfer
from pivot.api.inference.used_signatures import Role, UsedSignatures
from pivot.api.keys.accounts import AccountLimits
from pivot.api.keys.charges import Charges
from pivot.api.keys.issued import IssuedKeys
from pivot.api.keys.refunds import Refunds
from pivot.api.ledger.interface import Chain, Outbox
from pivot.api.phases import Moment, Phases
from pivot.api.settings import ApiSettings

TIDY_EVERY_BLOCKS = 50
"""How often what is no longer needed is dropped from the database."""


class InferenceService:
    """Owns transfer and execution, from `start` to `close`."""

    def __init__(
        self,
        settings: ApiSettings,
        identity: Identity,
        database: Database,
        chain: Chain,
        outbox: Outbox,
        fleet: Fleet,
        phases: Phases,
        http: aiohttp.ClientSession,
    ) -> None:
        self._database = database
        self._phases = phases
        self._used = UsedSignatures(database)
        self._settings = settings
        self.market = Market(chain, phases)
        self._funds = Funds(self.market)
        self.api_keys = IssuedKeys(database)
        self._charges = Charges(self.api_keys, chain, database)
        self.access = Access(identity, self.api_keys)
        self._accounts = AccountLimits(settings.api)
        self.execution = Execution(
            identity=identity,
            market=self.market,
            funds=self._funds,
            used=self._used,
            writer=database.writer,
            outbox=outbox,
            fleet=fleet,
            http=http,
        )
        self._peers = Peers(allow_private=settings.api.allow_private_urls)
        self.transfer = Transfer(
            identity=identity,
            market=self.market,
            funds=self._funds,
            charges=self._charges,
            used=self._used,
            outbox=outbox,
            execution=self.execution,
            peers=self._peers,
        )
        self._tidying = EachMoment("request path's tidying", phases, self._tidy)
        self._charging = EachMoment("charges of API keys", phases, self._charges.settle)
        self._refunds = Refunds(self.api_keys, chain, database)
        self._refunding = EachMoment("refunds of API keys", phases, self._refunds.look)
        self._tidied_height = 0

    @property
    def max_request_bytes(self) -> int:
        """Of a body; the setting may change while the node runs."""
        return min(self._settings.api.max_request_bytes, LONGEST_BODY_BYTES)

    def place(self, order: Order) -> AbstractContextManager[None]:
        """A signed request's place within the limits of its account. Raises SignatureReused, TooManyRequests.

        What was signed serves once: whoever sends it again takes nothing from the account.
        """
        self._used.require_unused(order.signature, Role.TRANSFER)
        return self._accounts.place(order.requested_by)

    async def start(self) -> None:
        """Load what must outlive a restart, and follow the blocks."""
        await self._used.load()
        await self.api_keys.load()
        await self._charges.load()
        self._phases.listen(self._note)
        self._tidying.start()
        self._charging.start()
        self._refunding.start()

    async def close(self) -> None:
        """Record everything that was answered, then let go."""
        await self._refunding.close()
        await self._charging.close()
        await self._tidying.close()
        await self.transfer.close()
        await self.execution.close()
        await self._database.writer.flush()
        await self._peers.close()

    async def _note(self, moment: Moment) -> None:
        self.market.note(moment)
        self._funds.note(moment)

    async def _tidy(self, moment: Moment) -> None:
        """Drop signatures that can no longer be valid, and artifacts that nobody may ask for any more."""
        if moment.head.height >= self._tidied_height + TIDY_EVERY_BLOCKS:
            behind_ns, _ = time_window(moment.effective)
            await self._used.forget_before(moment.head.time_ns - 2 * behind_ns)
            storage = self._settings.storage
            await artifacts.forget_before(self._database, moment.effective.index - storage.artifact_epochs)
            await retention.shrink(self._database, storage.artifact_bytes)
            self._tidied_height = moment.head.height
