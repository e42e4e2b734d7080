"""Another type for a field that is in use: a column beside it, filled, swapped, dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.db import migrations, models
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.operations.fields import FieldOperation
from django.db.models import F, Q
from django.db.models.lookups import IsNull

from safemigrate import backfill
from safemigrate.backends.base import Backend, project_settings
from safemigrate.backends.fields import column_of, variant
from safemigrate.backends.names import own_name
from safemigrate.backends.together import Shadow
from safemigrate.facts.phases import Phase
from safemigrate.operations.base import Postponable, SafeOperation, Way

if TYPE_CHECKING:
    from django.apps.registry import Apps
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState
    from django.db.models import Field

BESIDE = "safemigrate_beside"
"""The field that the column beside has while it is copied to."""


class _ShadowOperation(SafeOperation, FieldOperation):
    """
    A step of the way to another type, of a field and of all columns that refer to it.

    The type of a foreign key is that of what it refers to, so they go together.
    """

    category = OperationCategory.ALTERATION
    field: Field[Any, Any]

    def __init__(self, model_name: str, name: str, field: Field[Any, Any]) -> None:
        super().__init__(model_name, name, field)

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Until the swap the field is what it was."""
        with self._found(app_label, self.model_name, self.name):
            state.models[app_label, self.model_name_lower].get_field(self.name)

    def _with_field(self, app_label: str, state: ProjectState) -> ProjectState:
        """The state in which the field is ``self.field``."""
        changed = state.clone()
        changed.alter_field(app_label, self.model_name_lower, self.name, self.field, True)
        return changed

    def _shadows(
        self, app_label: str, old: ProjectState, new: ProjectState, *, back: bool = False
    ) -> list[Shadow]:
        """All columns, those that refer to others first; ``back`` exchanges their names."""
        # Rendered as a whole: a state that was altered may leave related models as they were,
        # and what refers to the field would be missed.
        with self._found(app_label, self.model_name):
            model = rendered(old).get_model(app_label, self.model_name)
        fields = _with_referring(self._field(model, self.name))
        apps = rendered(new)
        return [_shadow(field, apps, back=back) for field in fields]

    def _ours(
        self, schema_editor: BaseDatabaseSchemaEditor, shadows: Sequence[Shadow]
    ) -> tuple[Backend | None, list[Shadow]]:
        """The backend, and the columns of the tables that the routers have here."""
        backend = self._backend(schema_editor, shadows[-1].old.model)
        alias = schema_editor.connection.alias
        return backend, [s for s in shadows if self.allow_migrate_model(alias, s.old.model)]

    def _found_again(
        self, way: Way, shadows: Sequence[Shadow]
    ) -> tuple[Backend | None, list[Shadow]]:
        """``_ours``, where a table may have got another name since the step before."""
        backend, here = self._ours(way.editor, shadows)
        if backend:
            backend.name_by_table(way.editor, here)
        return backend, here

    def _copy(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        backend: Backend,
        shadows: Sequence[Shadow],
    ) -> None:
        for shadow in shadows:
            if not there(schema_editor, backend, shadow.table, column_of(shadow.beside)):
                continue
            # Its models are our own already.
            task = copying(backend, shadow, shadow.old.model._meta.apps)
            copy(schema_editor, app_label, task)


class AddShadowField(_ShadowOperation):
    """
    Add a column of another type beside a field's own, and let it follow what is written.

    ``field``: the field as it will be. The columns of other tables that refer to it get one too.

    Locks:   PostgreSQL ACCESS EXCLUSIVE on each table for an instant, had without queueing.
    Re-run:  adds what is missing.
    Back:    drops the columns and what keeps them current.
    Raises:  NeedsAutocommit; PlanRefused naming what hangs on the column and is in no model.
    Source:  https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
    """

    phase = Phase.EXPAND

    def forwards(self, way: Way) -> None:
        shadows = self._shadows(
            way.app_label, way.after, self._with_field(way.app_label, way.after)
        )
        backend, here = self._found_again(way, shadows)
        if backend:
            backend.add_shadows(way.editor, here)

    def backwards(self, way: Way) -> None:
        changed = self._with_field(way.app_label, way.after)
        shadows = self._shadows(way.app_label, changed, way.after, back=True)
        backend, here = self._found_again(way, shadows)
        if backend:
            backend.drop_asides(way.editor, here)

    def describe(self) -> str:
        return f"Add a column of its new type beside {self.model_name}.{self.name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.model_name_lower}_{self.name_lower}_shadow"


class CopyShadowField(_ShadowOperation):
    """
    Copy a field's values to the column of its new type, in batches, while the table is in use.

    Values that the new type cannot hold are left out; the swap names them.

    Locks:   row locks for one batch, about ``SAFEMIGRATE["BATCH_DURATION"]``.
    Re-run:  goes on after the last batch that was committed.
    Back:    nothing: the copies go with their column.
    Raises:  NeedsAutocommit; BackfillFailed saying what is done and where it stopped.
    """

    phase = Phase.BACKFILL

    def forwards(self, way: Way) -> None:
        shadows = self._shadows(
            way.app_label, way.after, self._with_field(way.app_label, way.after)
        )
        backend, here = self._found_again(way, shadows)
        if backend:
            self._copy(way.app_label, way.editor, backend, here)

    def backwards(self, way: Way) -> None:
        """The copies go with their column."""

    def describe(self) -> str:
        return f"Copy {self.model_name}.{self.name} to its new type in batches"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.model_name_lower}_{self.name_lower}_copy"


class SwapShadowField(Postponable, _ShadowOperation):
    """
    Give a field its new type: the column beside takes its name, indexes and constraints.

    They are built and checked on the column beside first. The old column is set aside and kept
    current until DropShadowField. ``after_rollout``: the new type cannot hold all values of the
    old one, so older code has to be gone.

    Locks:   PostgreSQL SHARE UPDATE EXCLUSIVE to build, validate and analyze; then ACCESS
             EXCLUSIVE on one table after the other for some instant statements, on the tables
             it refers to as well.
    Re-run:  builds what is missing or INVALID, swaps the tables that are left.
    Back:    the same the other way round, from the column that was set aside.
    Raises:  NeedsAutocommit; PlanRefused; DataInTheWay for values that do not fit or collide.
    Source:  https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-ADD-TABLE-CONSTRAINT-USING-INDEX
    """

    phase = before_rollout = Phase.BACKFILL

    def __init__(
        self, model_name: str, name: str, field: Field[Any, Any], after_rollout: bool = False
    ) -> None:
        self._wait(after_rollout)
        super().__init__(model_name, name, field)

    def plain(self, app_label: str, before: ProjectState) -> list[Operation]:
        return [migrations.AlterField(self.model_name, self.name, self.field)]

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        super().state_forwards(app_label, state)
        state.alter_field(app_label, self.model_name_lower, self.name, self.field, True)

    def forwards(self, way: Way) -> None:
        shadows = self._shadows(way.app_label, way.before, way.after)
        backend, here = self._found_again(way, shadows)
        if backend:
            backend.swap_shadows(way.editor, _told_apart(here, way.after))

    def backwards(self, way: Way) -> None:
        shadows = self._shadows(way.app_label, way.before, way.after, back=True)
        backend, here = self._found_again(way, shadows)
        if backend is None:
            return
        if not way.editor.collect_sql:
            # A foreign key that was dropped and has come back has none yet.
            backend.add_shadows(way.editor, here)
        # Added again by the way back of DropShadowField it is empty.
        self._copy(way.app_label, way.editor, backend, here)
        backend.swap_shadows(way.editor, _told_apart(here, way.after))

    def check_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, before: ProjectState
    ) -> None:
        changed = self._with_field(app_label, before)
        shadows = self._shadows(app_label, changed, before, back=True)
        backend, here = self._ours(schema_editor, shadows)
        if backend:
            backend.refuse_unfit(here)

    def describe(self) -> str:
        return f"Swap the column of {self.model_name}.{self.name} for that of its new type"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.model_name_lower}_{self.name_lower}_swap"


class DropShadowField(_ShadowOperation):
    """
    Drop the column of a field's old type, which was set aside by the swap.

    ``field``: the field as it was, for the way back.

    Locks:   PostgreSQL ACCESS EXCLUSIVE on each table for an instant, had without queueing.
    Re-run:  drops what is left.
    Back:    adds the columns again, and keeps them current; SwapShadowField's way back fills them.
    Raises:  NeedsAutocommit; PlanRefused naming what depends on it.
    """

    phase = Phase.CONTRACT

    def forwards(self, way: Way) -> None:
        shadows = self._shadows(
            way.app_label, self._with_field(way.app_label, way.after), way.after
        )
        backend, here = self._found_again(way, shadows)
        if backend:
            backend.drop_asides(way.editor, here)

    def backwards(self, way: Way) -> None:
        before = self._with_field(way.app_label, way.after)
        shadows = self._shadows(way.app_label, way.after, before, back=True)
        backend, here = self._found_again(way, shadows)
        if backend:
            backend.add_shadows(way.editor, here)

    def describe(self) -> str:
        return f"Drop the old column of {self.model_name}.{self.name}, kept for the way back"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.model_name_lower}_{self.name_lower}_drop_shadow"


def _with_referring(field: Any) -> list[Any]:
    """``field`` behind the fields whose type follows from it, each behind its own."""
    found: list[Any] = []
    for referring in _referring(field):
        for one in _with_referring(referring) if referring != field else []:
            if one not in found:
                found.append(one)
    return [*(one for one in found if one != field), field]


def _referring(field: Any) -> Iterator[Any]:
    for relation in field.model._meta.get_fields(include_hidden=True):
        key = getattr(relation, "field", None)
        if not (relation.auto_created and not relation.concrete and key) or key.many_to_many:
            continue
        if key.concrete and key.target_field == field and key.model._meta.managed:
            yield key


def _shadow(field: Any, apps: Apps, *, back: bool) -> Shadow:
    meta = field.model._meta
    new: Any = apps.get_model(meta.app_label, meta.model_name)._meta.get_field(field.name)
    names = [own_name(kind, meta.db_table, column_of(field)) for kind in ("shadow", "aside")]
    beside, aside = reversed(names) if back else names
    return Shadow(field, new, variant(new, column=beside), aside)


def rendered(state: ProjectState) -> Apps:
    """Models of their own, which may be changed."""
    own = state.clone()
    own.__dict__.pop("apps", None)
    return own.apps


def _told_apart(shadows: Sequence[Shadow], new: ProjectState) -> list[Shadow]:
    """With models whose fields have the columns beside: what hangs on those Django's SQL says."""
    apps = rendered(new)
    apart = []
    for shadow in shadows:
        meta = shadow.new.model._meta
        model: Any = apps.get_model(meta.app_label, meta.model_name or "")
        field = model._meta.get_field(shadow.new.name)
        field.column = field.db_column = shadow.beside.column
        field.__dict__.pop("cached_col", None)
        apart.append(Shadow(shadow.old, shadow.new, field, shadow.aside))
    return apart


def there(editor: BaseDatabaseSchemaEditor, backend: Backend, table: str, column: str) -> bool:
    """Whether there is a second column; for ``sqlmigrate``, whether there will be one."""
    if editor.collect_sql:
        return backend.commits_by_itself
    return backend.has_column(table, column)


def copy(editor: BaseDatabaseSchemaEditor, app_label: str, task: backfill.Backfill) -> None:
    """Do it, or say it where ``sqlmigrate`` collects."""
    if editor.collect_sql:
        backfill.show(editor, task)
        return
    name = task.model._meta.model_name or ""
    key = backfill.key_for(app_label, name, backfill.fingerprint(task))
    backfill.run(editor.connection, task, key=key)


def copying(backend: Backend, shadow: Shadow, apps: Apps) -> backfill.Backfill:
    """The fill of the column beside; ``apps`` get a field for it."""
    meta = shadow.old.model._meta
    model: Any = apps.get_model(meta.app_label, meta.model_name or "")
    name = f"{BESIDE}_{shadow.old.name}"
    # Any field will do: no value of it comes here.
    models.Field(null=True, db_column=shadow.beside.column).contribute_to_class(model, name)
    value = backend.converted(shadow, F(shadow.old.name))
    where = Q(**{f"{name}__isnull": True, f"{shadow.old.name}__isnull": False})
    return backfill.Backfill(
        model=model,
        values={name: value},
        where=where & Q(IsNull(value, False)),
        batch_target=project_settings().batch_duration,
    )
