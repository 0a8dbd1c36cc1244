"""Tables of the differencing history (ids of rows, row sets, who used them, charges, the chain over all of it, the
lineage of snapshots), of the privacy budget and of review."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()
NAMES = sa.String(255)
ORDER = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts rows in INTEGER columns alone


def _numbered() -> sa.Column[int]:
    return sa.Column("id", ORDER, primary_key=True, autoincrement=True)


def _named(name: str) -> sa.Column[str]:
    return sa.Column(name, NAMES, nullable=False)


# Keys of rows and persons (uint64), in the order of their ids: one row of the table for each batch of new ones.
ENTRIES = sa.Table(
    "history_entries",
    METADATA,
    _numbered(),
    _named("dataset"),
    sa.Column("number", ORDER, nullable=False),
    sa.Column("rows", sa.LargeBinary, nullable=False),
    sa.Column("persons", sa.LargeBinary, nullable=False),
)
# One transaction of the history: `head` is a keyed digest over the one before and all that was written with it.
CHAIN = sa.Table("history_chain", METADATA, _numbered(), _named("run"), sa.Column("ids", ORDER), _named("head"))
SETS = sa.Table(
    "history_sets",
    METADATA,
    _numbered(),
    _named("dataset"),
    _named("track"),
    sa.Column("population", sa.Boolean, nullable=False),
    sa.Column("size", ORDER, nullable=False),
    sa.Column("sample", sa.LargeBinary, nullable=False),
    sa.Column("prefix", sa.LargeBinary, nullable=False),
    sa.Column("rows", sa.LargeBinary, nullable=False),
    _named("digest"),
    sa.Index("history_sets_digest", "dataset", "digest"),
)
# A set counts while some use of it is live.
USES = sa.Table(
    "history_uses",
    METADATA,
    _numbered(),
    sa.Column("event", ORDER, nullable=False, index=True),
    sa.Column("set", ORDER, nullable=False, index=True),
    sa.Column("run", NAMES, nullable=False, index=True),
    _named("question"),
    sa.Column("live", sa.Boolean, nullable=False),
)
CHARGES = sa.Table(
    "history_charges",
    METADATA,
    _numbered(),
    sa.Column("event", ORDER, nullable=False),
    _named("dataset"),
    _named("question"),
    _named("researcher"),
    sa.UniqueConstraint("dataset", "question"),
)
# States of a source: `served` (a frozen copy answers), `held` (too few people changed), `past`.
SNAPSHOTS = sa.Table(
    "history_snapshots",
    METADATA,
    _numbered(),
    _named("dataset"),
    _named("fingerprint"),
    _named("file"),
    _named("state"),
)
# What people decided: one document of each kind and name for each run.
REVIEWS = sa.Table(
    "reviews",
    METADATA,
    _numbered(),
    sa.Column("run", NAMES, nullable=False, index=True),
    _named("kind"),
    _named("name"),
    sa.Column("body", sa.Text, nullable=False),
    sa.UniqueConstraint("run", "kind", "name"),
)
# The privacy budget: one release that was paid for, with the noised values as they left. `rho` is a fraction, as text.
SPENT = sa.Table(
    "privacy_spent",
    METADATA,
    _numbered(),
    _named("lineage"),
    _named("key"),
    _named("person"),
    _named("project"),
    sa.Column("rho", sa.Text, nullable=False),
    sa.Column("noised", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("lineage", "key"),
)
