"""What two releases need that use one table: names, values and types that go side by side."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safemigrate.backends.moving import Move
from safemigrate.backends.renaming import Renaming

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Field, Model


@dataclass(frozen=True)
class Shadow:
    """
    A column on its way to another type, as three bound fields.

    ``old`` and ``new`` have its name, ``beside`` is like ``new`` on a column beside it, which is
    copied to, and takes the name in the end. ``aside``: the column that the old one then is.
    The way back is the same way with the fields exchanged.
    """

    old: Field[Any, Any]
    new: Field[Any, Any]
    beside: Field[Any, Any]
    aside: str

    @property
    def table(self) -> str:
        return self.old.model._meta.db_table


@dataclass(frozen=True)
class Twins:
    """
    Rows of ``table`` that mean the same for a while.

    ``pairs``: their primary keys. ``names``: what people find them by, of all pairs alike.
    """

    table: str
    pairs: Mapping[Any, Any]
    names: Sequence[str]


class Together(abc.ABC):
    """The part of a backend that a server has only because old and new code run together."""

    # Other names -----------------------------------------------------------------------------

    @abc.abstractmethod
    def move_table(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        """Give the table and its columns their new names; the old ones go on working."""

    @abc.abstractmethod
    def move_back(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        """Undo ``move_table``, ended or not."""

    @abc.abstractmethod
    def end_move(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        """Take the old names away."""

    @abc.abstractmethod
    def resume_move(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        """Undo ``end_move``: the old names work again."""

    @abc.abstractmethod
    def merge_rows(self, table: str, gone: Any, kept: Any) -> None:
        """
        Have what refers to the row ``gone`` refer to ``kept``, and delete it.

        Shape:   gone, kept: primary keys.
        Raises:  DataInTheWay where a constraint allows one of two rows that differ.
        """

    @abc.abstractmethod
    def tie(self, editor: BaseDatabaseSchemaEditor, twins: Twins) -> None:
        """
        Have the rows that refer to one of two twins refer to both, from now on.

        Those of tables whose key columns say it all, such as who has which permission; begins
        with what refers to the first.
        """

    @abc.abstractmethod
    def untie(self, editor: BaseDatabaseSchemaEditor, twins: Twins) -> None:
        """
        End that; where a row refers to both of two twins, what refers to the first goes.

        Everything else stays as it is.
        """

    @abc.abstractmethod
    def repoint(
        self, editor: BaseDatabaseSchemaEditor, was: Field[Any, Any], becomes: Field[Any, Any]
    ) -> None:
        """
        Let the column of ``becomes`` refer to what it shall, where no older code could mind.

        Its table and column have their new names, and the foreign key of ``was`` is dropped; else
        ``add_foreign_key`` is for a time when older code is gone.
        """

    @abc.abstractmethod
    def begin_rename(self, editor: BaseDatabaseSchemaEditor, renaming: Renaming) -> None:
        """
        Add the column of the new name, empty, and keep both the same from now on.

        Raises: PlanRefused, before anything is done, if something hangs on the old one that the
        models do not know.
        """

    @abc.abstractmethod
    def complete_rename(self, editor: BaseDatabaseSchemaEditor, renaming: Renaming) -> None:
        """Build on the new column, which is filled, what belongs to the old one."""

    @abc.abstractmethod
    def end_rename(self, editor: BaseDatabaseSchemaEditor, renaming: Renaming) -> None:
        """Drop the old column, and give their names to what was built on the new one."""

    @abc.abstractmethod
    def expect_stand_ins(self) -> None:
        """Make this process's queries such that a view may stand in for any table."""

    @abc.abstractmethod
    def keep_filled(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        values: Mapping[str, Any],
        *,
        updates: bool,
    ) -> None:
        """
        From now on fill these fields in every row that is inserted with NULL there.

        ``updates``: in rows too in which somebody sets them to NULL.
        """

    @abc.abstractmethod
    def stop_filling(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], fields: Sequence[str]
    ) -> None: ...

    # Two columns that say the same ---------------------------------------------------------

    @abc.abstractmethod
    def keep_in_sync(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Field[Any, Any],
        new: Field[Any, Any],
    ) -> None:
        """
        From now on the column that is not written follows the one that is, as its type allows.

        Both columns are there, ``new`` nullable; a value that does not fit the other type is NULL
        there. If both are written the new one wins. Where they have a database default, a
        constant, both have it; a volatile one (``Now()``, a sequence) only the old column has.
        """

    @abc.abstractmethod
    def stop_sync(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Field[Any, Any],
        new: Field[Any, Any],
    ) -> None: ...

    # A column of another type --------------------------------------------------------------

    @abc.abstractmethod
    def converted(self, shadow: Shadow, value: Any) -> Any:
        """The expression ``value``, of the old type, as the new one; NULL if it does not fit."""

    @abc.abstractmethod
    def add_shadows(self, editor: BaseDatabaseSchemaEditor, shadows: Sequence[Shadow]) -> None:
        """
        Add the columns beside, empty, and let them follow the old ones.

        Raises: PlanRefused, before anything is done, if something hangs on a column that the
        models do not know.
        """

    @abc.abstractmethod
    def refuse_unfit(self, shadows: Sequence[Shadow]) -> None:
        """Raise DataInTheWay if values would be lost in the new type; changes nothing."""

    @abc.abstractmethod
    def swap_shadows(self, editor: BaseDatabaseSchemaEditor, shadows: Sequence[Shadow]) -> None:
        """
        Build what belongs to the columns beside, check that they are filled, exchange the names.

        Each table on its own, those that refer to another one first; ``shadows`` in that order.
        Raises: DataInTheWay for values that do not fit or collide.
        """

    @abc.abstractmethod
    def drop_asides(self, editor: BaseDatabaseSchemaEditor, shadows: Sequence[Shadow]) -> None:
        """Drop the columns that were set aside, and what kept them current."""

    @abc.abstractmethod
    def name_by_table(self, editor: BaseDatabaseSchemaEditor, shadows: Sequence[Shadow]) -> None:
        """Let the columns beside be found again where their table has another name since then."""
