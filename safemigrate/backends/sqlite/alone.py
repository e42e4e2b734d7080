"""What one process that is alone with its database need not do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from django.db.models import BaseConstraint

from safemigrate.backends.base import Backend, Session, Take, nothing
from safemigrate.backends.moving import Move
from safemigrate.backends.renaming import Renaming
from safemigrate.backends.together import Shadow, Twins
from safemigrate.facts.locks import TableLock

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Field, Model

T = TypeVar("T")


class Alone(Backend):
    """No locks to wait for, no session to ask, no other code to keep anything the same for."""

    commits_by_itself = False

    def retrying(self, locks: Sequence[TableLock], attempt: Callable[[Take], T]) -> T:
        return attempt(Take((), lambda words: None))

    def bounded(self, wait: timedelta) -> AbstractContextManager[None]:
        return nothing()

    def unhurried(self) -> AbstractContextManager[None]:
        return nothing()

    def bound_transaction(self, editor: BaseDatabaseSchemaEditor, wait: timedelta) -> None:
        """SQLite bounds every wait by the connection's own ``timeout``."""

    def lock_was_refused(self, error: BaseException) -> bool:
        return False

    def takes_its_time(self, statement: object) -> bool:
        return False

    def one_runner(self, wait: timedelta) -> AbstractContextManager[None]:
        return nothing()

    def sessions(self) -> list[Session]:
        return []

    def user(self) -> str:
        return ""

    def let_all_read(self, table: str) -> None:
        """There are no roles."""

    def carry_release(self, release: str) -> None:
        """There is nobody who could ask."""

    def merge_rows(self, table: str, gone: Any, kept: Any) -> None:
        """Nobody else has made a second one."""

    def tie(self, editor: BaseDatabaseSchemaEditor, twins: Twins) -> None:
        """Nobody asks for the old one."""

    def untie(self, editor: BaseDatabaseSchemaEditor, twins: Twins) -> None:
        """Nothing was tied."""

    def refuse_breaches(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], constraint: BaseConstraint
    ) -> None:
        """Adding it copies the table in one transaction, which then fails as a whole."""

    def add_field_check(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        """It came with the column's new form."""

    def drop_field_check(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        """It goes with the column's new form."""

    def refuse_nulls(self, model: type[Model], field: Field[Any, Any]) -> None:
        """Making it NOT NULL copies the table in one transaction, which then fails as a whole."""

    def set_default(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any],
        value: Any,
    ) -> None:
        """Not needed: no other code inserts meanwhile."""

    def drop_default(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        """Nothing was set."""

    def drop_foreign_keys(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any] | None = None,
        but_not: str | None = None,
    ) -> None:
        """Not needed: no other code deletes meanwhile."""

    def add_foreign_key(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        """None was dropped."""

    def replace_foreign_key(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        """It came with the column's new form."""

    def end_move(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        """Nobody knows the old names."""

    def resume_move(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        """Nobody wants the old names."""

    def complete_rename(self, editor: BaseDatabaseSchemaEditor, renaming: Renaming) -> None:
        """They have followed the column."""

    def expect_stand_ins(self) -> None:
        """There are none."""

    def keep_filled(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        values: Mapping[str, Any],
        *,
        updates: bool,
    ) -> None:
        """Not needed: no other code inserts meanwhile."""

    def stop_filling(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], fields: Sequence[str]
    ) -> None:
        """Nothing was started."""

    def keep_in_sync(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Field[Any, Any],
        new: Field[Any, Any],
    ) -> None:
        """Not needed: no other code writes meanwhile."""

    def stop_sync(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Field[Any, Any],
        new: Field[Any, Any],
    ) -> None:
        """Nothing was started."""

    def converted(self, shadow: Shadow, value: Any) -> Any:
        return value

    def add_shadows(self, editor: BaseDatabaseSchemaEditor, shadows: Sequence[Shadow]) -> None:
        """Not needed: no other code reads meanwhile."""

    def refuse_unfit(self, shadows: Sequence[Shadow]) -> None:
        """SQLite keeps what a type cannot hold."""

    def drop_asides(self, editor: BaseDatabaseSchemaEditor, shadows: Sequence[Shadow]) -> None:
        """Nothing was set aside."""

    def name_by_table(self, editor: BaseDatabaseSchemaEditor, shadows: Sequence[Shadow]) -> None:
        """There is no column beside."""
