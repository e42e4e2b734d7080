"""
What PostgreSQL's statements do to a table that is there: lock, scan, rewrite.

Nobody is trusted with this: tests/facts/test_statements.py runs each of them on real servers and
compares.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from safemigrate.facts.locks import LockMode


class Cost(enum.Enum):
    """How long the lock is held: for an instant, or as long as it takes to..."""

    INSTANT = "instant"
    SCAN = "read the whole table"
    REWRITE = "write the whole table anew"


class Harm(enum.Enum):
    """What is not about locks: what code that runs meets afterwards."""

    NONE = "none"
    DROP = "drop"
    RENAME = "rename"
    TRUNCATE = "truncate"
    WRITE = "write"
    INCOMPATIBLE = "incompatible"


@dataclass(frozen=True)
class Fact:
    """
    One class of statement.

    ``lock``: on the table it is about; None if it is about none. ``other``: on the second one,
    such as that which a foreign key refers to. ``alone``: refused inside a transaction.
    ``gentle``: the statement that does the same under a weaker lock, or what takes its place.
    ``since``: the first server version that has it.
    """

    key: str
    words: str
    lock: LockMode | None = None
    cost: Cost = Cost.INSTANT
    harm: Harm = Harm.NONE
    other: LockMode | None = None
    alone: bool = False
    gentle: str = ""
    since: int = 14
    page: str = ""
    lock_of: tuple[tuple[int, LockMode], ...] = ()
    """Where a later version takes another lock: (version, lock), the earliest first."""

    def lock_on(self, version: int) -> LockMode | None:
        found = [lock for since, lock in self.lock_of if version >= since]
        return found[-1] if found else self.lock

    def at(self, version: int | None) -> Fact:
        """As it is on a server; of one that nobody knows, as it was first."""
        return self if version is None else replace(self, lock=self.lock_on(version), lock_of=())

    @property
    def source(self) -> str:
        """The manual's page."""
        return f"https://www.postgresql.org/docs/current/{self.page}.html"

    @property
    def blocks_writes(self) -> bool:
        return self.lock is not None and LockMode.ROW_EXCLUSIVE in self.lock.conflicts()

    @property
    def blocks_reads(self) -> bool:
        return self.lock is LockMode.ACCESS_EXCLUSIVE


_AE = LockMode.ACCESS_EXCLUSIVE
_E = LockMode.EXCLUSIVE
_SRE = LockMode.SHARE_ROW_EXCLUSIVE
_S = LockMode.SHARE
_SUE = LockMode.SHARE_UPDATE_EXCLUSIVE
_RE = LockMode.ROW_EXCLUSIVE
_RS = LockMode.ROW_SHARE
_AS = LockMode.ACCESS_SHARE
_SCAN, _REWRITE = Cost.SCAN, Cost.REWRITE

_NOT_VALID = "ADD CONSTRAINT ... NOT VALID, and VALIDATE CONSTRAINT in a later transaction"
_INDEX_FIRST = "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... USING INDEX"
_SHADOW = "a new column, filled with BatchedBackfill, and the old one dropped in a later deploy"

_DOMAIN = "a CHECK on each table that uses it, NOT VALID, and VALIDATE CONSTRAINT"

_ALTER_TABLE = (
    Fact("add-column", "ADD COLUMN", _AE),
    Fact(
        "add-column-volatile",
        "ADD COLUMN with a default that differs by row",
        _AE,
        _REWRITE,
        gentle="ADD COLUMN without a default, SET DEFAULT, then BatchedBackfill",
    ),
    Fact("add-column-stored", "ADD COLUMN ... GENERATED ... STORED", _AE, _REWRITE, gentle=_SHADOW),
    Fact("add-column-virtual", "ADD COLUMN ... GENERATED ... VIRTUAL", _AE, since=18),
    Fact(
        "add-column-virtual-checked",
        "ADD COLUMN ... GENERATED ... VIRTUAL, NOT NULL or with a CHECK",
        _AE,
        _SCAN,
        since=18,
        gentle="ADD COLUMN ... VIRTUAL that may be NULL, and a CHECK NOT VALID that is validated",
    ),
    Fact(
        "add-column-identity", "ADD COLUMN of an identity or serial", _AE, _REWRITE, gentle=_SHADOW
    ),
    Fact(
        "add-column-unique", "ADD COLUMN ... UNIQUE or PRIMARY KEY", _AE, _SCAN, gentle=_INDEX_FIRST
    ),
    Fact("add-column-check", "ADD COLUMN ... CHECK", _AE, _SCAN, gentle=_NOT_VALID),
    Fact("add-column-fk", "ADD COLUMN ... REFERENCES", _AE, other=_SRE),
    Fact(
        "add-column-fk-default",
        "ADD COLUMN ... DEFAULT ... REFERENCES",
        _AE,
        _SCAN,
        other=_SRE,
        gentle=_NOT_VALID,
    ),
    Fact(
        "add-column-required",
        "ADD COLUMN ... NOT NULL without a default",
        _AE,
        harm=Harm.INCOMPATIBLE,
        gentle="ADD COLUMN ... NOT NULL DEFAULT <constant>",
    ),
    Fact("drop-column", "DROP COLUMN", _AE, harm=Harm.DROP),
    Fact("alter-type", "ALTER COLUMN ... TYPE, rewriting", _AE, _REWRITE, gentle=_SHADOW),
    Fact("alter-type-free", "ALTER COLUMN ... TYPE, to a wider text or numeric", _AE),
    Fact("set-default", "ALTER COLUMN ... SET DEFAULT", _AE),
    Fact("drop-default", "ALTER COLUMN ... DROP DEFAULT", _AE, harm=Harm.INCOMPATIBLE),
    Fact("drop-default-unused", "ALTER COLUMN ... DROP DEFAULT, of a value code sets", _AE),
    Fact("drop-not-null", "ALTER COLUMN ... DROP NOT NULL", _AE),
    Fact(
        "set-not-null",
        "ALTER COLUMN ... SET NOT NULL",
        _AE,
        _SCAN,
        gentle="a CHECK (... IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT, then SET NOT NULL",
    ),
    Fact("set-not-null-checked", "ALTER COLUMN ... SET NOT NULL, after a valid CHECK", _AE),
    Fact(
        "set-expression", "ALTER COLUMN ... SET EXPRESSION", _AE, _REWRITE, since=17, gentle=_SHADOW
    ),
    Fact("set-expression-virtual", "ALTER COLUMN ... SET EXPRESSION, virtual", _AE, since=18),
    Fact("drop-expression", "ALTER COLUMN ... DROP EXPRESSION", _AE),
    Fact("alter-identity", "ALTER COLUMN ... ADD, SET or DROP IDENTITY", _AE),
    Fact("set-statistics", "ALTER COLUMN ... SET STATISTICS", _SUE),
    Fact("set-attribute", "ALTER COLUMN ... SET (n_distinct = ...)", _SUE),
    Fact("set-storage", "ALTER COLUMN ... SET STORAGE", _AE),
    Fact("set-compression", "ALTER COLUMN ... SET COMPRESSION", _AE),
    Fact("add-check", "ADD CONSTRAINT ... CHECK", _AE, _SCAN, gentle=_NOT_VALID),
    Fact("add-check-not-valid", "ADD CONSTRAINT ... CHECK ... NOT VALID", _AE),
    Fact("add-check-not-enforced", "ADD CONSTRAINT ... CHECK ... NOT ENFORCED", _AE, since=18),
    Fact("add-not-null", "ADD CONSTRAINT ... NOT NULL", _AE, _SCAN, since=18, gentle=_NOT_VALID),
    Fact("add-not-null-not-valid", "ADD CONSTRAINT ... NOT NULL ... NOT VALID", _AE, since=18),
    Fact("add-fk", "ADD CONSTRAINT ... FOREIGN KEY", _SRE, _SCAN, other=_SRE, gentle=_NOT_VALID),
    Fact("add-fk-not-valid", "ADD CONSTRAINT ... FOREIGN KEY ... NOT VALID", _SRE, other=_SRE),
    Fact(
        "add-fk-not-enforced",
        "ADD CONSTRAINT ... FOREIGN KEY ... NOT ENFORCED",
        _SRE,
        other=_SRE,
        since=18,
    ),
    Fact("add-unique", "ADD CONSTRAINT ... UNIQUE or PRIMARY KEY", _AE, _SCAN, gentle=_INDEX_FIRST),
    Fact("add-unique-using", "ADD CONSTRAINT ... UNIQUE USING INDEX", _AE),
    Fact(
        "add-primary-using",
        "ADD CONSTRAINT ... PRIMARY KEY USING INDEX, of a column that may be NULL",
        _AE,
        _SCAN,
        gentle="SET NOT NULL after a valid CHECK, then PRIMARY KEY USING INDEX",
    ),
    Fact(
        "add-exclusion",
        "ADD CONSTRAINT ... EXCLUDE",
        _AE,
        _SCAN,
        gentle="a table of its own with the constraint, filled, and a swap: there is no online way",
    ),
    Fact("validate-constraint", "VALIDATE CONSTRAINT", _SUE, _SCAN),
    Fact("validate-fk", "VALIDATE CONSTRAINT of a foreign key", _SUE, _SCAN, other=_RS),
    Fact("drop-constraint", "DROP CONSTRAINT", _AE),
    Fact("drop-constraint-cascade", "DROP CONSTRAINT ... CASCADE", _AE, harm=Harm.DROP, other=_AE),
    Fact("drop-fk", "DROP CONSTRAINT of a foreign key", _AE, other=_AE),
    Fact("alter-constraint", "ALTER CONSTRAINT", _AE),
    Fact(
        "alter-constraint-enforced",
        "ALTER CONSTRAINT ... ENFORCED",
        _AE,
        _SCAN,
        other=_SRE,
        since=18,
        gentle=_NOT_VALID,
    ),
    Fact(
        "alter-constraint-not-enforced",
        "ALTER CONSTRAINT ... NOT ENFORCED",
        _AE,
        other=_AE,
        since=18,
    ),
    Fact("toggle-trigger", "ENABLE or DISABLE TRIGGER", _SRE, harm=Harm.INCOMPATIBLE),
    Fact("toggle-rule", "ENABLE or DISABLE RULE", _AE, harm=Harm.INCOMPATIBLE),
    Fact("row-security", "ENABLE or FORCE ROW LEVEL SECURITY", _AE, harm=Harm.INCOMPATIBLE),
    Fact("row-security-off", "DISABLE or NO FORCE ROW LEVEL SECURITY", _AE),
    Fact("cluster-on", "CLUSTER ON, SET WITHOUT CLUSTER", _SUE),
    Fact(
        "set-logged",
        "SET LOGGED or UNLOGGED",
        _AE,
        _REWRITE,
        gentle="a new table, filled, and a swap",
    ),
    Fact(
        "set-tablespace", "SET TABLESPACE", _AE, _REWRITE, gentle="pg_repack, outside of migrations"
    ),
    Fact(
        "set-access-method",
        "SET ACCESS METHOD",
        _AE,
        _REWRITE,
        since=15,
        gentle="a new table, filled, and a swap",
    ),
    Fact("set-options", "SET (fillfactor = ...), RESET (...)", _SUE),
    Fact("inherit", "INHERIT, NO INHERIT", _AE, other=_SUE),
    Fact("owner", "OWNER TO", _AE, harm=Harm.INCOMPATIBLE),
    Fact("replica-identity", "REPLICA IDENTITY", _AE),
    Fact(
        "attach-partition",
        "ATTACH PARTITION",
        _SUE,
        _SCAN,
        other=_AE,
        gentle="a CHECK on the new partition that implies its bounds, validated before",
    ),
    Fact("attach-partition-new", "ATTACH PARTITION of a new table", _SUE, other=_AE),
    Fact("detach-partition", "DETACH PARTITION", _AE, harm=Harm.DROP, other=_AE),
    Fact(
        "detach-concurrently",
        "DETACH PARTITION ... CONCURRENTLY",
        _SUE,
        harm=Harm.DROP,
        alone=True,
    ),
    Fact("rename-column", "RENAME COLUMN", _AE, harm=Harm.RENAME),
    Fact("rename-table", "RENAME TO, SET SCHEMA", _AE, harm=Harm.RENAME),
    Fact("rename-constraint", "RENAME CONSTRAINT", _AE),
)

_INDEXES = (
    Fact(
        "create-index",
        "CREATE INDEX",
        _S,
        _SCAN,
        gentle="AddIndexConcurrently, or CREATE INDEX CONCURRENTLY with atomic = False",
        page="sql-createindex",
    ),
    Fact(
        "create-index-only", "CREATE INDEX ON ONLY a partitioned table", _S, page="sql-createindex"
    ),
    Fact(
        "create-index-concurrently",
        "CREATE INDEX CONCURRENTLY",
        _SUE,
        _SCAN,
        alone=True,
        page="sql-createindex",
    ),
    Fact(
        "drop-index",
        "DROP INDEX",
        _AE,
        gentle="RemoveIndexConcurrently, or DROP INDEX CONCURRENTLY with atomic = False",
        page="sql-dropindex",
    ),
    Fact(
        "drop-index-concurrently", "DROP INDEX CONCURRENTLY", _SUE, alone=True, page="sql-dropindex"
    ),
    Fact(
        "reindex",
        "REINDEX",
        _S,
        _SCAN,
        gentle="REINDEX CONCURRENTLY, with atomic = False",
        page="sql-reindex",
    ),
    Fact(
        "reindex-concurrently", "REINDEX CONCURRENTLY", _SUE, _SCAN, alone=True, page="sql-reindex"
    ),
    Fact("alter-index", "ALTER INDEX ... RENAME TO, SET (...)", page="sql-alterindex"),
)

_WRITES = (
    Fact("select", "SELECT", _AS, page="sql-select"),
    Fact("select-for-update", "SELECT ... FOR UPDATE", _RS, harm=Harm.WRITE, page="sql-select"),
    Fact("insert", "INSERT", _RE, page="sql-insert"),
    Fact("insert-select", "INSERT ... SELECT", _RE, _SCAN, Harm.WRITE, page="sql-insert"),
    Fact("update", "UPDATE", _RE, _SCAN, Harm.WRITE, page="sql-update"),
    Fact("update-bounded", "UPDATE of rows known by a key", _RE, page="sql-update"),
    Fact("delete", "DELETE", _RE, _SCAN, Harm.WRITE, page="sql-delete"),
    Fact("delete-bounded", "DELETE of rows known by a key", _RE, page="sql-delete"),
    Fact("merge", "MERGE", _RE, _SCAN, Harm.WRITE, since=15, page="sql-merge"),
    Fact("copy-from", "COPY ... FROM", _RE, page="sql-copy"),
    Fact("copy-to", "COPY ... TO", _AS, _SCAN, page="sql-copy"),
    Fact("truncate", "TRUNCATE", _AE, harm=Harm.TRUNCATE, page="sql-truncate"),
)

_TABLES = (
    Fact("create-table", "CREATE TABLE", page="sql-createtable"),
    Fact("create-table-fk", "CREATE TABLE ... REFERENCES", other=_SRE, page="sql-createtable"),
    Fact("create-partition", "CREATE TABLE ... PARTITION OF", _AE, page="sql-createtable"),
    Fact("create-child", "CREATE TABLE ... INHERITS", _SUE, page="sql-createtable"),
    Fact("create-table-as", "CREATE TABLE ... AS", _AS, _SCAN, page="sql-createtableas"),
    Fact("drop-table", "DROP TABLE", _AE, harm=Harm.DROP, page="sql-droptable"),
    Fact("lock-table", "LOCK TABLE", _AE, page="sql-lock"),
    Fact("comment", "COMMENT ON TABLE or COLUMN", _SUE, page="sql-comment"),
    Fact("create-trigger", "CREATE TRIGGER", _SRE, page="sql-createtrigger"),
    Fact("drop-trigger", "DROP TRIGGER", _AE, page="sql-droptrigger"),
    Fact("rename-trigger", "ALTER TRIGGER ... RENAME TO", _AE, page="sql-altertrigger"),
    Fact("create-rule", "CREATE RULE", _AE, harm=Harm.INCOMPATIBLE, page="sql-createrule"),
    Fact("drop-rule", "DROP RULE", _AE, page="sql-droprule"),
    Fact("create-policy", "CREATE POLICY", _AE, page="sql-createpolicy"),
    Fact(
        "create-policy-restrictive",
        "CREATE POLICY ... AS RESTRICTIVE",
        _AE,
        harm=Harm.INCOMPATIBLE,
        page="sql-createpolicy",
    ),
    Fact("alter-policy", "ALTER POLICY", _AE, harm=Harm.INCOMPATIBLE, page="sql-alterpolicy"),
    Fact("drop-policy", "DROP POLICY", _AE, harm=Harm.INCOMPATIBLE, page="sql-droppolicy"),
    Fact("create-statistics", "CREATE STATISTICS", _SUE, page="sql-createstatistics"),
    Fact("create-publication", "CREATE PUBLICATION", _SUE, page="sql-createpublication"),
    Fact("grant", "GRANT", page="sql-grant", lock_of=((18, _AS),)),
    Fact("revoke", "REVOKE", harm=Harm.INCOMPATIBLE, page="sql-revoke", lock_of=((18, _AS),)),
    Fact(
        "alter-role",
        "ALTER ROLE ... NOLOGIN, PASSWORD, ...",
        harm=Harm.INCOMPATIBLE,
        page="sql-alterrole",
    ),
    Fact("create-view", "CREATE VIEW", _AS, page="sql-createview"),
    Fact(
        "create-materialized",
        "CREATE MATERIALIZED VIEW",
        _AS,
        _SCAN,
        page="sql-creatematerializedview",
    ),
    Fact("drop-view", "DROP VIEW", _AE, harm=Harm.DROP, page="sql-dropview"),
    Fact("drop-other", "DROP of what is no table", harm=Harm.DROP),
    Fact("rename-other", "RENAME of what is no table", harm=Harm.RENAME),
    Fact(
        "refresh",
        "REFRESH MATERIALIZED VIEW",
        _AE,
        _REWRITE,
        gentle="REFRESH MATERIALIZED VIEW CONCURRENTLY",
        page="sql-refreshmaterializedview",
    ),
    Fact(
        "refresh-concurrently",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY",
        _E,
        _SCAN,
        page="sql-refreshmaterializedview",
    ),
)

_UPKEEP = (
    Fact("vacuum", "VACUUM", _SUE, _SCAN, alone=True, page="sql-vacuum"),
    Fact(
        "vacuum-full",
        "VACUUM FULL",
        _AE,
        _REWRITE,
        alone=True,
        gentle="VACUUM, or pg_repack, outside of migrations",
        page="sql-vacuum",
    ),
    Fact("analyze", "ANALYZE", _SUE, _SCAN, page="sql-analyze"),
    Fact(
        "cluster",
        "CLUSTER",
        _AE,
        _REWRITE,
        gentle="pg_repack, outside of migrations",
        page="sql-cluster",
    ),
    Fact(
        "create-database",
        "CREATE or DROP DATABASE or TABLESPACE",
        alone=True,
        page="sql-createdatabase",
    ),
    Fact("alter-system", "ALTER SYSTEM", alone=True, page="sql-altersystem"),
    Fact(
        "alter-domain",
        "ALTER DOMAIN ... ADD CONSTRAINT, SET NOT NULL",
        _S,
        _SCAN,
        gentle=_DOMAIN,
        page="sql-alterdomain",
    ),
    Fact("alter-domain-not-valid", "ALTER DOMAIN ... NOT VALID", page="sql-alterdomain"),
    Fact(
        "validate-domain",
        "ALTER DOMAIN ... VALIDATE CONSTRAINT",
        _S,
        _SCAN,
        gentle=_DOMAIN,
        page="sql-alterdomain",
    ),
    Fact("drop-domain-constraint", "ALTER DOMAIN ... DROP CONSTRAINT", page="sql-alterdomain"),
    Fact("harmless", "what touches no table", page="sql-commands"),
)

_FAMILIES = (
    (_ALTER_TABLE, "sql-altertable"),
    (_INDEXES, ""),
    (_WRITES, ""),
    (_TABLES, ""),
    (_UPKEEP, ""),
)
FACTS: dict[str, Fact] = {fact.key: fact for family, _ in _FAMILIES for fact in family}
_PAGES = {fact.key: page for family, page in _FAMILIES for fact in family if page}
FACTS = {
    key: Fact(**{**vars(fact), "page": fact.page or _PAGES.get(key, "sql-commands")})
    for key, fact in FACTS.items()
}
