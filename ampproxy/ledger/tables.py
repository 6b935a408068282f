"""The tables of a ledger at PostgreSQL. Those of SQLite's file are the same but for what the comments name.

Rows have a key that is made where the exchange ends: when that was, who wrote it, and his count. Who writes
a row again, because he does not know whether it was written, adds nothing.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from ampproxy.ledger.entry import Series, Sums, Tokens

#: The schema, which is the ledger's own: the names of its tables are common ones.
SCHEMA = "ampproxy"

metadata = MetaData()
_TRANSACTION = text("(pg_current_xact_id())::text::bigint")


def _of_series(name: str) -> Column[object]:
    kinds = {"amp": SmallInteger, "prompt_over": Integer}
    return Column(name, kinds.get(name, Text), nullable=False)


series = Table(
    "series",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    *map(_of_series, Series._fields),
    UniqueConstraint(*Series._fields, name="series_once"),
)
exchanges = Table(
    "exchanges",
    metadata,
    # When it ended: microseconds since the epoch. In the file it is made unique, here the next two do that.
    Column("id", BigInteger, nullable=False),
    Column("writer", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    # The transaction, by which rows are found that were written since.
    Column("written", BigInteger, nullable=False, server_default=_TRANSACTION),
    Column("series", Integer, nullable=False),
    # As it is; the file has the 16 bytes of Amp's own.
    Column("thread", Text, nullable=False),
    Column("status", Integer, nullable=False),
    *(Column(name, BigInteger) for name in Tokens._fields),
    Column("first_ms", BigInteger),
    Column("total_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", "writer", "number", name="exchanges_once"),
    # They come in the order in which they are written: so small an index finds the last ones.
    Index("exchanges_written", "written", postgresql_using="brin"),
)
daily = Table(
    "daily",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("series", Integer, primary_key=True, autoincrement=False),
    *(Column(name, BigInteger, nullable=False) for name in Sums._fields),
)
state = Table(
    "state",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
