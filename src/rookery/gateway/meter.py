"""Counts the model calls of one turn, and writes them into the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection

from rookery.errors import StorageUnavailable
from rookery.ids import TurnId
from rookery.messages import MessageEntry, Usage
from rookery.storage import Database
from rookery.usage import Bill, Call, CallEnd, LedgerRow, Prices, ledger, settling
from rookery.usage.prices import Price


class TurnMeter:
    """The `Meter` of one try at one turn.

    A call's beginning is kept before it is made, by a relaxed write: it outlives the process, and costs no sync.
    Ends are held here until the next beginning, or the turn's own end, is written.
    """

    def __init__(self, database: Database, prices: Prices, bill: Bill | None, now: Callable[[], datetime]) -> None:
        """`bill` None: nobody would pay, so nothing is asked."""
        self._database = database
        self._prices = prices
        self._bill = bill
        self._now = now
        self._running: dict[str, _Running] = {}
        self._unkept: dict[str, LedgerRow] = {}

    async def begin(self, call: Call) -> None:
        """Keep what a call is expected to use. Raises `StorageUnavailable`; then it is not to be made."""
        assert self._bill is not None, "who is not let in to an agent asks no model"
        # The usual model is known, and then nothing is waited for.
        price = self._prices.known(call.provider, call.model)
        if price is None:
            price = await self._prices.find(call.provider, call.model)
        row = settling.projected(self._bill, call, price, self._now())
        rows = (*self._unkept.values(), row)
        try:
            await self._database.write(lambda connection: ledger.put(connection, rows), relaxed=True)
        except BaseException:
            # It may be there all the same, when nobody saw how the write ended.
            self._unkept[row.call_id] = settling.not_made(row, self._now())
            raise
        self._unkept.clear()
        self._running[row.call_id] = _Running(row, price)

    def end(self, end: CallEnd) -> Usage:
        """Take down how a call ended, and return what it used with what that costs."""
        running = self._running.pop(end.call_id)
        row, used = settling.ended(running.row, end, running.price, self._now())
        self._unkept[row.call_id] = row
        return used

    def settle(self, connection: Connection, turn_id: TurnId, written: Iterable[MessageEntry]) -> None:
        """Write how every call of the turn ended, in the transaction of its end; `written` are its entries.

        What an earlier try began and no longer knew the end of is settled from what it wrote.
        """
        ledger.put(connection, self._unkept.values())
        if ledger.has_open(connection, turn_id):
            rows = ledger.of_turn(connection, turn_id)
            ledger.put(connection, settling.left_over(rows, {entry.id: entry for entry in written}))

    async def keep(self) -> None:
        """Write what is known although the turn has not ended: there will be another try at it, which knows less.

        Where the storage does not let us, that settles it from the transcript.
        """
        if self._unkept:
            rows = tuple(self._unkept.values())
            with suppress(StorageUnavailable):
                await self._database.write(lambda connection: ledger.put(connection, rows), relaxed=True)


class _Running(Struct, frozen=True):
    row: LedgerRow
    price: Price
