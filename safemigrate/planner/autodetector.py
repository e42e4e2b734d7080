"""Django's autodetector, with its answer made safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from django.db import connections, migrations
from django.db.migrations.autodetector import MigrationAutodetector, OperationDependency
from django.db.migrations.questioner import NonInteractiveMigrationQuestioner
from django.db.migrations.utils import get_references
from django.db.models import Field

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.migrations.state import ProjectState

    from safemigrate.planner.refusals import Refusal
    from safemigrate.planner.rewrite import Changes

    _Detector = MigrationAutodetector
else:
    _Detector = object

OnRefusal = Callable[[Sequence["Refusal"]], None]


def _keep_quiet(refusals: Sequence[Refusal]) -> None:
    """``migrate`` only asks whether there are changes at all."""


_on_refusal: ContextVar[OnRefusal] = ContextVar("safemigrate_on_refusal", default=_keep_quiet)
_not_renamed: ContextVar[frozenset[str]] = ContextVar(
    "safemigrate_not_renamed", default=frozenset()
)


@contextmanager
def refusing_with(listener: OnRefusal, not_renamed: Iterable[str] = ()) -> Iterator[None]:
    """
    Inside, changes that cannot be made safe are handed to ``listener``, which may raise.

    ``not_renamed``: ``app.model.field`` or ``app.model`` of what goes for good.
    """
    tokens = _on_refusal.set(listener), _not_renamed.set(frozenset(map(str.lower, not_renamed)))
    try:
        yield
    finally:
        _on_refusal.reset(tokens[0])
        _not_renamed.reset(tokens[1])


class SafeAutodetectorMixin(_Detector):
    """
    Rewrites and splits what the autodetector below it in the MRO has found.

    Overrides ``_detect_changes``: after sorting and optimising, before naming. It is private, but
    unchanged since Django 4.2 and overridden by other packages too.
    """

    _looks_for_renames = False

    def _detect_changes(self, convert_apps: Any = None, graph: Any = None) -> Changes:
        below: Any = super()  # the stubs leave out what is private
        changes: Changes
        connection = protected_connection()
        if connection is None:
            changes = below._detect_changes(convert_apps, graph)
            return changes
        # Late, as what follows: each check needs this class and hardly ever what it does.
        from safemigrate.planner.kept import kept, put_first, told

        # Django warns that one call of the default would serve all rows, and offers to stop.
        # Here every row gets a call of its own.
        questioner: Any = self.questioner
        questioner.ask_unique_callable_default_addition = _nothing_to_ask
        # A copy: what goes loses its indexes in Django's own (6.1).
        before: ProjectState = self.from_state.clone()
        stays = kept(before, self.to_state)
        if stays:
            self.from_state = told(before, stays)
        changes = below._detect_changes(convert_apps, graph)
        put_first(changes, stays)
        if not changes:
            return changes
        from safemigrate.planner.rewrite import Context, rewrite

        nobody = isinstance(questioner, NonInteractiveMigrationQuestioner)
        context = Context(
            before=before,
            connection=connection,
            questioner=None if nobody else questioner,
            not_renamed=_not_renamed.get(),
        )
        outcome = rewrite(changes, context)
        if outcome.refusals:
            _on_refusal.get()(outcome.refusals)
        return outcome.changes

    def _sort_migrations(self) -> None:
        """
        A model goes last, when no field refers to it any more, of its own app or of another.

        Django 5.2 to 6.1 say so neither of a proxy nor of a many-to-many field, and then can make
        no model of what refers to it. And a many-to-many field that goes and comes again (6.1)
        does both at once, or it would be two changes, of which the later one drops it.
        """
        here: Any = self  # the stubs leave out what is private
        for app_label, operations in here.generated_operations.items():
            from safemigrate.planner.walk import come_again  # late, as above

            for gone, come in come_again(operations):
                needs = [d for d in operations[come]._auto_deps if d.app_label != app_label]
                operations[gone]._auto_deps = [*operations[gone]._auto_deps, *needs]
            deleted: list[Any] = [o for o in operations if isinstance(o, migrations.DeleteModel)]
            for operation in deleted:
                if leaving := list(self._leaving(app_label, operation.name_lower)):
                    operation._auto_deps = [*operation._auto_deps, *leaving]
                    operations.remove(operation)
                    operations.append(operation)
        below: Any = super()
        below._sort_migrations()

    def _leaving(self, app_label: str, name: str) -> Iterator[OperationDependency]:
        """What changes or removes the fields that refer to a model until then."""
        here: Any = self  # as above
        key = (app_label, name)
        if key in here.to_state.models:
            return
        names = {(app, old): new for (app, new), old in here.renamed_models.items()}
        for model, field, _, _ in get_references(here.from_state, key):
            called = names.get((model.app_label, model.name_lower), model.name_lower)
            for kind in (OperationDependency.Type.ALTER, OperationDependency.Type.REMOVE):
                yield OperationDependency(model.app_label, called, field, kind)

    def create_renamed_fields(self) -> None:
        """
        Ask also where the choices, texts or default changed together with the name.

        Of what ``--not-renamed`` names, nothing is asked: that is the answer.
        """
        from safemigrate.planner.renamed import label_of

        here: Any = self  # the stubs leave out what is private
        answered = {
            (app_label, model, name)
            for app_label, model, name in here.old_field_keys - here.new_field_keys
            if label_of(app_label, self.renamed_models.get((app_label, model), model), name)
            in _not_renamed.get()
        }
        here.old_field_keys -= answered
        self._looks_for_renames = True
        try:
            super().create_renamed_fields()
        finally:
            self._looks_for_renames = False
            here.old_field_keys |= answered

    def generate_renamed_fields(self) -> None:
        """Django asked about the name alone, and looks for nothing else in such a field."""
        super().generate_renamed_fields()
        from safemigrate.planner.renamed import of_python_alone

        for (app_label, model, name), old_name in self.renamed_fields.items():
            old_model = self.renamed_models.get((app_label, model), model)
            old = self.from_state.models[app_label, old_model].get_field(old_name)
            new = self.to_state.models[app_label, model].get_field(name)
            was, becomes = self.deep_deconstruct(old)[2], self.deep_deconstruct(new)[2]
            if any(was.get(each) != becomes.get(each) for each in of_python_alone(new)):
                self.add_operation(app_label, migrations.AlterField(model, name, new))

    def deep_deconstruct(self, obj: Any) -> Any:
        found = super().deep_deconstruct(obj)
        if not self._looks_for_renames or not isinstance(obj, Field):
            return found
        from safemigrate.planner.renamed import of_python_alone

        path, args, arguments = found
        unseen = of_python_alone(obj)
        return path, args, {name: arguments[name] for name in arguments if name not in unseen}

    def _get_generated_field_dependencies_for_removed_field(
        self, app_label: str, model_name: str, field_name: str
    ) -> list[Any]:
        """Django 6.0 and 6.1 look for a model that was renamed in this run under its new name."""
        below: Any = super()
        name = self.renamed_models.get((app_label, model_name), model_name)
        found: list[Any] = below._get_generated_field_dependencies_for_removed_field(
            app_label, name, field_name
        )
        return found

    def arrange_for_graph(
        self, changes: Changes, graph: Any, migration_name: str | None = None
    ) -> Changes:
        """``--name`` is the story of them all; each file says its phase behind it."""
        split = [m for new in changes.values() for m in new if getattr(m, "of_phase", None)]
        if migration_name and split:
            migration: Any  # each is given a name of its own in place of Django's method
            for migration in (m for new in changes.values() for m in new):
                phase = getattr(migration, "of_phase", None)
                name = f"{migration_name}_{phase}" if phase else migration_name
                migration.suggest_name = partial(str, name)
            migration_name = None
        arranged: Changes = super().arrange_for_graph(changes, graph, migration_name)
        return arranged


def _nothing_to_ask(field_name: str, model_name: str) -> None:
    return None


def protected_connection() -> BaseDatabaseWrapper | None:
    """The first database that old and new code share; never opened here."""
    for alias in connections:
        if connections[alias].vendor == "postgresql":
            return connections[alias]
    return None


@cache
def composed(base: type[MigrationAutodetector]) -> type[MigrationAutodetector]:
    """
    Our mixin on top of whatever autodetector other packages have installed.

    Cached, because Django's check commands.E001 wants the same class from both commands.
    """
    if issubclass(base, SafeAutodetectorMixin):
        return base
    return type("SafeAutodetector", (SafeAutodetectorMixin, base), {})
