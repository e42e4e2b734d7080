"""What every server must be able to say; how it says it is the server's own floor."""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from safemigrate.backends.together import Together
from safemigrate.facts import settings
from safemigrate.facts.locks import TableLock

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.backends.ddl_references import Statement
    from django.db.models import BaseConstraint, Field, Index, Model

T = TypeVar("T")


@dataclass(frozen=True)
class Take:
    """
    The locks of one attempt; called inside its transaction it takes them or fails.

    ``statements``: the same as SQL, to be sent in front of the transaction's first statement, or
    to be printed.
    """

    statements: Sequence[str]
    send: Callable[[str], None]

    @property
    def words(self) -> str:
        return "; ".join(self.statements)

    def __call__(self) -> None:
        if self.words:
            self.send(self.words)


class IndexState(enum.Enum):
    ABSENT = "absent"
    INVALID = "INVALID"
    VALID = "valid"


@dataclass(frozen=True)
class Session:
    """Another connection to the same database."""

    pid: int
    application_name: str
    user: str
    started: datetime | None


class Backend(Together):
    """
    One server behind one connection.

    Every method that changes something looks first and sends nothing if all is done. While
    ``sqlmigrate`` collects it says all that it would send to a database on which nothing is done
    yet; names and partitions it asks of this one, and says where that has no answer.
    """

    vendor: str
    commits_by_itself = True
    """Whether an operation may need several transactions; False where nobody else is waiting."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_atomic_block

    def follow(self, editor: BaseDatabaseSchemaEditor) -> None:
        """Know things by the names that they have after what ``editor`` has collected."""

    # Locks ---------------------------------------------------------------------------------

    @abc.abstractmethod
    def retrying(self, locks: Sequence[TableLock], attempt: Callable[[Take], T]) -> T:
        """
        Run ``attempt(take)`` until the locks are had; ``take()`` is called inside its transaction.

        Raises: LockNotObtained at the deadline, naming who holds the tables.
        """

    let_go_early: Sequence[str] = ()
    """What a transaction says first, so that its locks end before its commit is on the disk."""

    def patiently(self, locks: Sequence[TableLock], work: Callable[[], T]) -> T:
        """
        Run ``work`` in one transaction that holds ``locks``; in a migration's own, just run.

        A table is not kept while a disk or a standby takes its time. Whoever records the migration
        waits for both; a server that crashes before finds neither done.
        """
        from django.db import transaction

        if self.in_transaction:
            return work()

        def attempt(take: Take) -> T:
            with transaction.atomic(using=self.connection.alias):
                replace(take, statements=[*self.let_go_early, *take.statements])()
                return work()

        return self.retrying(locks, attempt)

    @abc.abstractmethod
    def bounded(self, wait: timedelta) -> AbstractContextManager[None]:
        """Inside, no statement waits longer than ``wait`` for a lock; restored afterwards."""

    @abc.abstractmethod
    def unhurried(self) -> AbstractContextManager[None]:
        """Inside, a build or a validation waits for locks as long as its own deadline allows."""

    @abc.abstractmethod
    def bound_transaction(self, editor: BaseDatabaseSchemaEditor, wait: timedelta) -> None:
        """From here to the end of the transaction no statement waits longer for a lock."""

    @abc.abstractmethod
    def lock_was_refused(self, error: BaseException) -> bool:
        """Whether ``error`` says that a lock was not to be had, and nothing else is wrong."""

    @abc.abstractmethod
    def takes_its_time(self, statement: object) -> bool:
        """Whether a statement, by whoever wrote it, is one that ``unhurried`` is for."""

    def send_together(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Send statements that return nothing; in one journey where the server can."""
        with self.connection.cursor() as cursor:
            for sql, params in statements:
                cursor.execute(sql, params)

    def composed(self, sql: str, params: Sequence[Any] | None) -> str:
        """One statement with its values in it, as the driver quotes them."""
        raise NotImplementedError(f"{self.vendor} takes one statement at a time")

    # One runner, many sessions -------------------------------------------------------------

    @abc.abstractmethod
    def one_runner(self, wait: timedelta) -> AbstractContextManager[None]:
        """Hold the right to migrate; a second runner waits, then raises AnotherRunner."""

    @abc.abstractmethod
    def sessions(self) -> list[Session]:
        """The other client sessions on this database."""

    @abc.abstractmethod
    def user(self) -> str:
        """The role that this connection acts as."""

    @abc.abstractmethod
    def let_all_read(self, table: str) -> None:
        """Let every role read a table of ours that has nothing to hide."""

    @abc.abstractmethod
    def carry_release(self, release: str) -> None:
        """Make this connection tell its release to whoever lists the sessions."""

    # Looking -------------------------------------------------------------------------------

    @abc.abstractmethod
    def has_table(self, table: str) -> bool: ...

    @abc.abstractmethod
    def has_column(self, table: str, column: str) -> bool: ...

    @abc.abstractmethod
    def index_state(self, table: str, name: str) -> IndexState: ...

    # Indexes -------------------------------------------------------------------------------

    @abc.abstractmethod
    def create_index(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        name: str,
        build: Callable[[], Statement | str],
    ) -> None:
        """Build the index ``name`` by sending what ``build()`` returns, while writes go on."""

    @abc.abstractmethod
    def index_sql(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], index: Index
    ) -> Statement: ...

    @abc.abstractmethod
    def add_field_indexes(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        """Build what ``db_index`` and ``unique`` of ``field`` mean, while writes go on."""

    @abc.abstractmethod
    def drop_field_indexes(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None: ...

    @abc.abstractmethod
    def drop_index(self, editor: BaseDatabaseSchemaEditor, model: type[Model], name: str) -> None:
        """Drop an index while reads and writes go on."""

    @abc.abstractmethod
    def rename(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: BaseConstraint | Index,
        new: BaseConstraint | Index,
    ) -> None:
        """Give an index or a constraint another name, for an instant."""

    @abc.abstractmethod
    def replace(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: BaseConstraint | Index,
        new: BaseConstraint | Index,
    ) -> None:
        """``new``, which is there under its own name, takes the name of ``old``, which goes."""

    @abc.abstractmethod
    def put_back(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: BaseConstraint | Index,
        new: BaseConstraint | Index,
    ) -> None:
        """Undo ``replace``: build ``old`` while writes go on, and give both their own names."""

    # Constraints ---------------------------------------------------------------------------

    @abc.abstractmethod
    def add_constraint(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], constraint: BaseConstraint
    ) -> None:
        """
        Add a CHECK or unique constraint while reads and writes go on.

        Raises: DataInTheWay with the query that finds the rows; nothing is left then.
        """

    @abc.abstractmethod
    def drop_constraint(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], constraint: BaseConstraint
    ) -> None: ...

    @abc.abstractmethod
    def refuse_breaches(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], constraint: BaseConstraint
    ) -> None:
        """Raise DataInTheWay if rows would break the constraint; changes nothing."""

    @abc.abstractmethod
    def alter_unique_together(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Iterable[Sequence[str]],
        new: Iterable[Sequence[str]],
    ) -> None:
        """Build what came while writes go on, then drop what went. Shape: names of fields."""

    # Columns and tables --------------------------------------------------------------------

    @abc.abstractmethod
    def add_column(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any],
        database_default: Any,
    ) -> None:
        """
        Add the column of ``field`` so that code which does not know it can go on inserting.

        ``database_default``: NOT_PROVIDED: the column is nullable. A constant: it is the column's
        default and ``field.null`` is obeyed. An expression: nullable, with that as its default,
        unless it is the field's own ``db_default`` and the same for all rows. A many-to-many
        field gets its table.
        """

    @abc.abstractmethod
    def drop_column(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None: ...

    @abc.abstractmethod
    def alter_column(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Field[Any, Any],
        new: Field[Any, Any],
        *,
        for_both: bool,
    ) -> None:
        """
        Give the column of ``old`` the form of ``new``; they share its name.

        The type is the same or changes without a look at the rows. ``for_both``: what code of
        the old form could run into stays away: NOT NULL, a default dropped, a CHECK, an FK.
        """

    @abc.abstractmethod
    def add_field_check(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        """Add the CHECK of the field's type without reading rows under a lock, then validate."""

    @abc.abstractmethod
    def drop_field_check(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None: ...

    @abc.abstractmethod
    def set_not_null(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        """Make the column NOT NULL without scanning it under a lock; end keeping it filled."""

    @abc.abstractmethod
    def refuse_nulls(self, model: type[Model], field: Field[Any, Any]) -> None:
        """Raise DataInTheWay if the column could not be made NOT NULL; changes nothing."""

    @abc.abstractmethod
    def drop_not_null(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None: ...

    @abc.abstractmethod
    def set_default(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any],
        value: Any,
    ) -> None:
        """Give a column that has no database default ``value``, a constant or an expression."""

    @abc.abstractmethod
    def drop_default(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None: ...

    @abc.abstractmethod
    def drop_foreign_keys(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any] | None = None,
        but_not: str | None = None,
    ) -> None:
        """
        Drop the FKs of the column, or with no field those from and to the whole table.

        ``but_not``: the name of one that stays.
        """

    @abc.abstractmethod
    def add_foreign_key(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        """Add the FK of ``field`` without checking the rows under a lock, then check them."""

    @abc.abstractmethod
    def replace_foreign_key(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        """As ``add_foreign_key``, and drop those that the column has, which stand until then."""

    @abc.abstractmethod
    def create_table(self, editor: BaseDatabaseSchemaEditor, model: type[Model]) -> None:
        """Create the table with its indexes and without its foreign keys."""

    @abc.abstractmethod
    def drop_table(self, editor: BaseDatabaseSchemaEditor, model: type[Model]) -> None: ...


@contextmanager
def nothing() -> Iterator[None]:
    """What a server without such a thing does."""
    yield


def project_settings() -> settings.Settings:
    return settings.current()
