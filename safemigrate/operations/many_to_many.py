"""Many-to-many fields that refer to another model, or have another table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.migrations.state import ModelState
from django.db.migrations.utils import resolve_relation

from safemigrate.backends.fields import parent_of
from safemigrate.operations.altering import AlteringOperation
from safemigrate.operations.base import Way
from safemigrate.operations.renames import (
    ContractMove,
    ExpandMove,
    MovingOperation,
    Pair,
    throughs,
)

if TYPE_CHECKING:
    from django.db.migrations.state import ProjectState
    from django.db.models import Field

    from safemigrate.backends import Backend

    Keys = Iterator[tuple[Backend, Field[Any, Any], Field[Any, Any]]]


class _OfManyToMany(MovingOperation):
    model_name: str
    name: str

    @property
    def _names(self) -> tuple[str, str]:
        return self.model_name, self.model_name

    def _pairs(self, app_label: str, before: ProjectState, after: ProjectState) -> Iterator[Pair]:
        old, new = self._models(app_label, before, after)
        yield from throughs(self._field(old, self.name), self._field(new, self.name))

    def _repointed(self, way: Way, before: ProjectState, after: ProjectState) -> Keys:
        """The keys of its table that do not refer to what they did, before and after."""
        for old, new in self._pairs(way.app_label, before, after):
            if backend := self._backend(way.editor, new):
                both = (model._meta.local_concrete_fields for model in (old, new))
                for was, becomes in zip(*both, strict=True):
                    if _referred(was) != _referred(becomes):
                        yield backend, was, becomes


class ExpandAlterManyToMany(_OfManyToMany, ExpandMove, AlteringOperation):
    """
    Let a many-to-many field refer to another model, or have another table, for both releases.

    Its rows stay as they are: the number of what they referred to is taken for that of what they
    refer to now. Where the table or a column gets another name, the old one goes on in a view.
    The new foreign key comes with ContractAlterManyToMany.

    Locks:   PostgreSQL ACCESS EXCLUSIVE on the table, and on what it no longer refers to, for an
             instant, had without queueing.
    Re-run:  does what is missing.
    Back:    the old names, and the old foreign key, which is validated.
    Raises:  NeedsAutocommit; on the way back DataInTheWay for rows that point nowhere.
    """

    def forwards(self, way: Way) -> None:
        for backend, was, _ in self._repointed(way, way.before, way.after):
            backend.drop_foreign_keys(way.editor, was.model, was)
        super().forwards(way)
        for backend, was, becomes in self._repointed(way, way.before, way.after):
            backend.repoint(way.editor, was, becomes)

    def backwards(self, way: Way) -> None:
        for backend, _, becomes in self._repointed(way, way.after, way.before):
            # Of a contract that rows have stopped; it would refuse what older code writes.
            backend.drop_foreign_keys(way.editor, becomes.model, becomes)
        super().backwards(way)
        for backend, was, becomes in self._repointed(way, way.after, way.before):
            backend.repoint(way.editor, becomes, was)
            backend.add_foreign_key(way.editor, was.model, was)

    def describe(self) -> str:
        return f"Change what {self.model_name}.{self.name} refers to for both releases"

    @property
    def migration_name_fragment(self) -> str:
        return f"alter_{self.model_name_lower}_{self.name_lower}"


class ContractAlterManyToMany(_OfManyToMany, ContractMove):
    """
    Add the foreign key that ExpandAlterManyToMany has left out, and drop the view that it left.

    ``field``: the field as it is since then; ``old_field``: as it was.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing; SHARE ROW EXCLUSIVE
             on both ends of the foreign key for an instant to add it NOT VALID, SHARE UPDATE
             EXCLUSIVE while it is validated.
    Re-run:  does what is missing.
    Back:    drops the foreign key and creates the view again.
    Raises:  NeedsAutocommit; DataInTheWay for rows that point nowhere.
    """

    def __init__(
        self, model_name: str, name: str, field: Field[Any, Any], old_field: Field[Any, Any]
    ) -> None:
        self.model_name = model_name
        self.name = name
        self.field = field
        self.old_field = old_field

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name, self.name):
            state.models[app_label, self.model_name.lower()].get_field(self.name)

    def _before(self, app_label: str, state: ProjectState) -> ProjectState:
        before = state.clone()
        remote: Any = self.old_field.remote_field
        key = resolve_relation(remote.model, app_label, self.model_name.lower())
        if key not in before.models and key[0] not in before.real_apps:
            # Renamed or dropped since then; a column is called after it, nothing more is needed.
            before.add_model(ModelState(*key, [("id", models.AutoField(primary_key=True))]))
        before.alter_field(app_label, self.model_name.lower(), self.name, self.old_field, True)
        return before

    def forwards(self, way: Way) -> None:
        super().forwards(way)
        for backend, _, becomes in self._since(way):
            backend.add_foreign_key(way.editor, becomes.model, becomes)

    def backwards(self, way: Way) -> None:
        for backend, _, becomes in self._since(way):
            backend.drop_foreign_keys(way.editor, becomes.model, becomes)
        super().backwards(way)

    def _since(self, way: Way) -> Keys:
        return self._repointed(way, self._before(way.app_label, way.after), way.after)

    def describe(self) -> str:
        return f"End what {self.model_name}.{self.name} was for older code"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.model_name}_{self.name}_altered".lower()


def _referred(field: Any) -> tuple[str, str] | None:
    """What the database lets the column refer to."""
    parent = parent_of(field)
    return (parent._meta.label_lower, field.target_field.name) if parent else None
