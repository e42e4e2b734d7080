"""Ask of one operation after the other what to write in its place, in the state it starts from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from safemigrate.backends.fields import deletes_itself
from safemigrate.backends.versions import judged_version
from safemigrate.operations import (
    AddOrderColumn,
    AddRenamedField,
    AddShadowField,
    Assured,
    ContractDrop,
    ContractRenameModel,
    ContractRenameTable,
    MakeModelIgnorable,
    SafeOperation,
)
from safemigrate.operations.phases import stays_as_it_is, touches_no_table
from safemigrate.operations.reading import altered, has_table, referred, target_of
from safemigrate.operations.redefining import fields_of
from safemigrate.operations.remedies import chain_for
from safemigrate.operations.remedies.facets import facets_of, is_unseen
from safemigrate.planner.combine import combine, followed
from safemigrate.planner.ordering import in_order, is_computed
from safemigrate.planner.refusals import (
    ModelKey,
    Refusal,
    lets_go,
    one_over_both,
    renamed_and_changed,
    two_of_a_key,
)
from safemigrate.planner.split import Rewritten
from safemigrate.rules.base import Step, judge

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_ContractMove = ContractRenameModel | ContractRenameTable


@dataclass
class Walk:
    """
    A state that goes along with the operations that were asked about.

    ``state`` is changed in place. ``new_models``: made on the way, so nobody uses them yet.
    ``renamed``, ``moved``: what has got another name on the way; ``retyped``: another type, by a
    second column. ``computed``: the generated fields that go, which are there until the contract.
    ``referred_to``: models to which fields refer that stay until a later release drops them.
    """

    state: ProjectState
    connection: BaseDatabaseWrapper
    new_models: set[ModelKey] = field(default_factory=set)
    refusals: list[Refusal] = field(default_factory=list)
    renamed: dict[tuple[str, str, str], AddRenamedField] = field(default_factory=dict)
    moved: dict[ModelKey, list[_ContractMove]] = field(default_factory=dict)
    referred_to: set[ModelKey] = field(default_factory=set)
    retyped: dict[tuple[str, str, str], Operation] = field(default_factory=dict)
    computed: dict[ModelKey, dict[str, Any]] = field(default_factory=dict)

    def through(
        self, operations: Sequence[Operation], app_label: str, going: dict[str, bool]
    ) -> list[Rewritten]:
        """``going``: from ``models_that_go``, for all operations of this app and run."""
        ordered = in_order(
            operations, app_label, self.state, lambda one: self._asking(one, app_label)
        )
        instead = combine(ordered, app_label, self.state)
        follow = followed(ordered, app_label, self.state, instead)
        altered = self._altered(ordered, app_label)
        found = [
            self._step(operation, app_label, going, instead.get(place), altered.get(place))
            for place, operation in enumerate(ordered)
        ]
        self._refuse_two_at_once()
        return [
            replace(one, operations=[*one.operations, *follow.get(place, [])])
            for place, one in enumerate(found)
        ]

    def _altered(self, operations: Sequence[Operation], app_label: str) -> dict[int, Rewritten]:
        """
        By their places, what becomes of a field that goes and comes again under its name.

        From 6.1 on Django says so of a many-to-many field that refers to another model.
        """
        found: dict[int, Rewritten] = {}
        for gone, come in come_again(operations):
            state = self.state.clone()
            for earlier in operations[:gone]:
                earlier.state_forwards(app_label, state)
            new: Any = operations[come]
            alter = migrations.AlterField(new.model_name, new.name, new.field)
            step = replace(self._asking(alter, app_label), before=state)
            chain = chain_for(step) if self._is_used(new, app_label) else None
            if chain is not None:
                found[gone] = Rewritten(new, chain.operations())
                found[come] = Rewritten(operations[gone], [])
        return found

    def _note_computed(self, operation: Any, app_label: str) -> None:
        removal = isinstance(operation, migrations.RemoveField)
        if removal and is_computed(operation, app_label, self.state):
            key = app_label, operation.model_name_lower
            found = self.state.models[key].fields[operation.name]
            self.computed.setdefault(key, {})[operation.name] = found

    def _step(
        self,
        operation: Operation,
        app_label: str,
        going: dict[str, bool],
        instead: list[Operation] | None,
        altered: Rewritten | None,
    ) -> Rewritten:
        """``instead``, ``altered``: what it comes to together with others, if with any."""
        if _goes_with_its_model(operation, going):
            found = Rewritten(operation, [])
        elif altered is not None:
            found = altered
        elif instead is not None and self._is_used(operation, app_label):
            found = Rewritten(operation, instead)
        else:
            with_its_model = self._with_its_model(operation, app_label, going)
            found = with_its_model or self._asked(operation, app_label)
        for written in found.operations:
            self._note_moved(written, app_label)
            if isinstance(written, ContractDrop):
                self._note_referred_to(written, app_label)
        note_new(operation, app_label, self.new_models)
        self._note_computed(operation, app_label)
        operation.state_forwards(app_label, self.state)
        return found

    def _with_its_model(
        self, operation: Operation, app_label: str, going: dict[str, bool]
    ) -> Rewritten | None:
        """
        A field that goes with its model, or that model: the model is made ignorable once, first.

        ``going[model]``: whether that was said already.
        """
        if isinstance(operation, migrations.RemoveField) and operation.model_name_lower in going:
            model = operation.model_name_lower
            if deletes_itself(self._field(app_label, model, operation.name)):
                return None  # a rule says so
            drop = ContractDrop(operation.model_name, operation.name)
            expand = [] if going[model] else [MakeModelIgnorable(operation.model_name)]
            going[model] = True
            return Rewritten(operation, [*expand, drop])
        if isinstance(operation, migrations.DeleteModel) and going[operation.name_lower]:
            return Rewritten(operation, [ContractDrop(operation.name)])
        return None

    def _is_used(self, operation: Any, app_label: str) -> bool:
        return (app_label, operation.model_name.lower()) not in self.new_models

    def _asked(self, operation: Operation, app_label: str) -> Rewritten:
        if (before := self._renamed_before(operation, app_label)) is not None:
            return before
        if stays_as_it_is(operation):
            ours = isinstance(operation, SafeOperation) or touches_no_table(operation)
            return Rewritten(operation, [operation], stays=not ours)
        step = self._asking(operation, app_label)
        model = self.state.models.get(step.model_key)
        if step.model_key in self.new_models or (model and not has_table(model)):
            if isinstance(operation, migrations.DeleteModel) and step.model_key in self.referred_to:
                return Rewritten(operation, [ContractDrop(operation.name)])
            return Rewritten(operation, [operation])
        if refusal := self._refers_no_more(step):
            self.refusals.append(refusal)
            return Rewritten(operation, [operation])
        chain = chain_for(step)
        if chain is not None:
            self._note_two_columns(chain.expand, app_label, operation)
            return Rewritten(operation, chain.operations())
        findings = judge(step)
        self.refusals += [Refusal(app_label, operation, finding) for finding in findings]
        return Rewritten(operation, [operation], unseen=not findings and is_unseen(step))

    def _refers_no_more(self, step: Step) -> Refusal | None:
        """
        For a field that lets go of what it refers to, which gets another type before.

        What was prepared for both would not be found again by way of the one.
        """
        operation: Any = step.operation
        if not isinstance(operation, migrations.AlterField):
            return None
        model, name = step.model_key, operation.name
        old, new = altered(step)
        key = self._retyped(model, name, old)
        if key in (None, (*model, name), self._retyped(model, name, new)):
            return None
        return lets_go(step, key, old, new)

    def _note_two_columns(
        self, expand: Iterable[Operation], app_label: str, operation: Operation
    ) -> None:
        for one in expand:
            if isinstance(one, AddRenamedField):
                self.renamed[app_label, one.model_name_lower, one.new_name] = one
            elif isinstance(one, AddShadowField):
                self.retyped[app_label, one.model_name_lower, one.name] = operation

    def _refuse_two_at_once(self) -> None:
        """
        A field with a second column for its name, and one for a type that concerns it as well.

        The state has one column of each: of a foreign key the other would keep the old type, and
        an index over both fields would be built for one of the two.
        """
        for (app, model, new_name), rename in self.renamed.items():
            if (state := self.state.models.get((app, model))) is None:
                continue
            names = {rename.old_name.lower(), rename.new_name.lower()}
            over = [(thing, rests - names) for thing, rests in _rests(state) if rests & names]
            for name, own in state.fields.items():
                key = self._retyped((app, model), name, own)
                if key is None or self.retyped[key] in [r.operation for r in self.refusals]:
                    continue
                things = [thing for thing, others in over if name.lower() in others]
                if name == new_name:
                    self.refusals.append(two_of_a_key(key, self.retyped[key], rename))
                elif things:
                    refusal = one_over_both(key, self.retyped[key], rename, name, things[0])
                    self.refusals.append(refusal)

    def _retyped(self, model: ModelKey, name: str, own: Any) -> tuple[str, str, str] | None:
        """The field whose other type this one gets: itself, or what it refers to."""
        if (*model, name) in self.retyped:
            return (*model, name)
        for target in referred(self.state, model, own):
            for key in self.retyped:
                if self._field(*key) is target:
                    return key
        return None

    def _field(self, app_label: str, model: str, name: str) -> Any:
        found = self.state.models.get((app_label, model))
        return found.fields.get(name) if found else None

    def _note_moved(self, operation: Operation, app_label: str) -> None:
        """Older code has a view of the table, without the columns that come behind its new name."""
        if isinstance(operation, ContractRenameModel):
            self.moved.setdefault((app_label, operation.new_name.lower()), []).append(operation)
        elif isinstance(operation, ContractRenameTable):
            self.moved.setdefault((app_label, operation.name.lower()), []).append(operation)
        elif isinstance(operation, migrations.AddField) and not operation.field.many_to_many:
            self._is_new(operation.name, (app_label, operation.model_name_lower))
        elif isinstance(operation, AddOrderColumn):
            self._is_new("_order", (app_label, operation.name_lower))

    def _note_referred_to(self, drop: ContractDrop, app_label: str) -> None:
        """Until then no state can do without it, were it a proxy without a table."""
        step = self._asking(drop, app_label)
        for name, value in step.model.fields.items():
            target = target_of(step, value) if drop.name in (None, name) else None
            if target is not None:
                self.referred_to.add((target.app_label, target.model))

    def _is_new(self, name: str, model: ModelKey) -> None:
        for move in self.moved.get(model, ()):
            move.new_fields = [*move.new_fields, name]

    def _renamed_before(self, operation: Operation, app_label: str) -> Rewritten | None:
        """
        What becomes of an AlterField whose field was renamed just before, or None for others.

        The rename takes along what Python alone sees. Two columns that differ in more than
        their names would need both changes to be one.
        """
        if not isinstance(operation, migrations.AlterField):
            return None
        model = operation.model_name_lower
        rename = self.renamed.get((app_label, model, operation.name))
        if rename is None:
            return None
        step = self._asking(operation, app_label)
        if facets_of(step, *altered(step), operation.name).only_python:
            rename.field = operation.field
            return Rewritten(operation, [])
        self.refusals.append(renamed_and_changed(app_label, operation, rename))
        return Rewritten(operation, [operation])

    def _asking(self, operation: Operation, app_label: str) -> Step:
        return Step(
            app_label=app_label,
            operation=operation,
            before=self._before(operation, app_label),
            vendor=self.connection.vendor,
            version=judged_version(self.connection),
            new_models=frozenset(self.new_models),
            connection=self.connection,
        )

    def _before(self, operation: Any, app_label: str) -> ProjectState:
        """Columns that go are there still; of those that are computed that is felt."""
        key = app_label, getattr(operation, "model_name", "").lower()
        if not isinstance(operation, migrations.AlterField) or key not in self.computed:
            return self.state
        before = self.state.clone()
        before.models[key].fields.update(self.computed[key])
        return before


def _rests(model: ModelState) -> Iterator[tuple[str, set[str]]]:
    """Shape: (what it is called, the fields that it rests on, in lower case)."""
    for option in ("indexes", "constraints"):
        for thing in model.options.get(option) or ():
            yield thing.name, fields_of(thing)
    for names in model.options.get("unique_together") or ():
        yield "unique_together", {name.lower() for name in names}


def come_again(operations: Sequence[Operation]) -> Iterator[tuple[int, int]]:
    """The places of RemoveField and AddField of one many-to-many field."""
    gone: dict[tuple[str, str], int] = {}
    for place, operation in enumerate(operations):
        if isinstance(operation, migrations.RemoveField):
            gone[operation.model_name_lower, operation.name] = place
        elif isinstance(operation, migrations.AddField) and operation.field.many_to_many:
            key = (operation.model_name_lower, operation.name)
            if key in gone:
                yield gone.pop(key), place


def note_new(operation: Any, app_label: str, new_models: set[ModelKey]) -> None:
    """Remember a model that is made here, also when it is renamed."""
    if isinstance(operation, migrations.CreateModel):
        new_models.add((app_label, operation.name_lower))
    elif isinstance(operation, migrations.RenameModel):
        if (app_label, operation.old_name_lower) in new_models:
            new_models.add((app_label, operation.new_name_lower))
    elif isinstance(operation, Assured):
        note_new(operation.operation, app_label, new_models)
    elif isinstance(operation, migrations.SeparateDatabaseAndState):
        for one in operation.database_operations:
            note_new(one, app_label, new_models)


def models_that_go(operations: Iterable[Operation]) -> dict[str, bool]:
    """``{model: False}`` for each; Django removes their foreign keys one by one before."""
    return {o.name_lower: False for o in operations if isinstance(o, migrations.DeleteModel)}


def _goes_with_its_model(operation: Any, going: dict[str, bool]) -> bool:
    """An index or constraint of a model that goes: from 6.1 on Django removes them before it."""
    removal = isinstance(operation, migrations.RemoveIndex | migrations.RemoveConstraint)
    return removal and operation.model_name_lower in going
