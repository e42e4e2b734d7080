"""Which facets of a field differ before and after; read from the state, without a database."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from django.db import migrations

from safemigrate.backends.fields import deletes_itself, has_index
from safemigrate.facts.types import is_free
from safemigrate.operations.reading import (
    Asked,
    altered,
    check_of,
    collation_of,
    column_name,
    computed_from,
    db_type,
    has_foreign_key,
    is_read_again,
    is_referred_to,
    like_index_is_rebuilt,
    rebuilds_foreign_key,
    same_column,
    stored_target_of,
)


class Shift(enum.Enum):
    """How a facet that a field has or has not differs."""

    NONE = "as it was"
    GAINED = "gained"
    LOST = "lost"
    OTHER = "another one"

    def __bool__(self) -> bool:
        return self is not Shift.NONE


ARRIVES = (Shift.GAINED, Shift.OTHER)
LEAVES = (Shift.LOST, Shift.OTHER)


@dataclass(frozen=True)
class Facets:
    """
    What differs between ``old`` and ``new``, two unbound fields that both have a column.

    ``column``: its name. ``type``: to one that PostgreSQL does not get to without looking at the
    rows or an index, collations included; ``free_type``: to one that it does. ``index``: what
    ``db_index`` builds, which ``unique`` makes superfluous. ``deletes``: what the server does to
    rows whose parent is deleted.
    """

    old: Any
    new: Any
    column: bool
    type: bool
    free_type: bool
    null: Shift
    check: Shift
    unique: Shift
    index: Shift
    foreign_key: Shift
    deletes: Shift
    db_default: Shift
    comment: bool

    @property
    def only_python(self) -> bool:
        """Whether the database would not notice: defaults, choices, on_delete, texts."""
        kind = self.column or self.type or self.free_type or self.null or self.check
        built = self.unique or self.index or self.foreign_key or self.deletes
        return not (kind or built or self.db_default or self.comment)

    @property
    def plain(self) -> bool:
        """Whether Django's own way does no harm, there and back: catalogue entries alone."""
        built = self.column or self.type or self.null or self.check or self.unique or self.index
        dropped = self.db_default is Shift.LOST or self.foreign_key or self.deletes
        return not (built or dropped) and not rebuilds_foreign_key(self.old, self.new)

    @property
    def lets_down(self) -> bool:
        """Whether one release leaves to the server what it will not do for it all the time."""
        if self.deletes is Shift.OTHER or (self.deletes and (self.type or self.column)):
            return True
        leaves = deletes_itself(self.old) or deletes_itself(self.new)
        return bool(leaves and self.foreign_key)

    @property
    def only_index(self) -> bool:
        """Whether an index or uniqueness is gained, and nothing else that the database sees."""
        gains = Shift.GAINED in (self.unique, self.index)
        others = (self.null, self.check, self.foreign_key, self.deletes, self.db_default)
        loses = Shift.LOST in (self.unique, self.index)
        still = not (self.column or self.type or self.free_type or self.comment or any(others))
        return gains and still and not loses


def facets_of(asked: Asked, old: Any, new: Any, name: str, old_name: str = "") -> Facets:
    """Compare two fields that are neither many-to-many nor generated."""
    was, becomes = db_type(asked, old, old_name or name), db_type(asked, new, name)
    collation = collation_of(old) != collation_of(new)
    if was is None or becomes is None:
        costly, free = not same_column(old, new), False
    else:
        costly = not is_free(was, becomes) or like_index_is_rebuilt(old, was, becomes) or collation
        again = any(
            asks(asked, old_name or name) for asks in (is_read_again, is_referred_to, computed_from)
        )
        costly = costly or (was != becomes and again)
        free = was != becomes and not costly
    return Facets(
        old,
        new,
        column=column_name(old, old_name or name) != column_name(new, name),
        type=costly,
        free_type=free,
        null=_shift(old.null, new.null),
        check=_shift(check_of(asked, old, old_name or name), check_of(asked, new, name)),
        unique=_shift(old.unique, new.unique),
        index=_shift(_own_index(old), _own_index(new)),
        foreign_key=_shift(_target(asked, old), _target(asked, new)),
        deletes=_shift(deletes_itself(old), deletes_itself(new)),
        db_default=_shift(_db_default(old), _db_default(new)),
        comment=getattr(old, "db_comment", None) != getattr(new, "db_comment", None),
    )


def is_unseen(asked: Asked) -> bool:
    """Whether it is an AlterField for which Django sends nothing: choices, texts, a default."""
    return is_about_python(asked) and not rebuilds_foreign_key(*altered(asked))


def is_about_python(asked: Asked) -> bool:
    """Whether it is an AlterField of which a database need not know, whatever Django sends."""
    operation = asked.operation
    if type(operation) is not migrations.AlterField or operation.name not in asked.model.fields:
        return False
    old, new = altered(asked)
    if old.many_to_many or new.many_to_many or old.generated or new.generated:
        return False
    same = old.primary_key == new.primary_key
    return same and facets_of(asked, old, new, operation.name).only_python


def _shift(old: Any, new: Any) -> Shift:
    if old == new:
        return Shift.NONE
    if old and new:
        return Shift.OTHER
    return Shift.GAINED if new else Shift.LOST


def _own_index(field: Any) -> bool:
    return has_index(field) and not field.unique


def _target(asked: Asked, field: Any) -> Any:
    return stored_target_of(asked, field) if has_foreign_key(field) else None


def _db_default(field: Any) -> Any:
    # In a tuple: a default of 0 or "" is one as well.
    return (field.db_default,) if field.has_db_default() else None
