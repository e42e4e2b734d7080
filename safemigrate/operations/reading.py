"""What a state that is not rendered says about a column: its name, its type, its constraints."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from django.apps import apps as installed
from django.conf import settings
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.utils import get_references, resolve_relation
from django.db.models import CheckConstraint, Field
from django.utils.module_loading import import_string

from safemigrate.operations.redefining import fields_of, fields_read

if TYPE_CHECKING:
    from django.db import migrations
    from django.db.backends.base.base import BaseDatabaseWrapper


class Asked(Protocol):
    """
    A stock operation about to run, and all that is known about it.

    ``before``: the state it starts from; neither changed nor rendered. ``connection``: for
    ``db_type()`` alone; None where nobody has one.
    """

    @property
    def operation(self) -> Any: ...
    @property
    def app_label(self) -> str: ...
    @property
    def before(self) -> ProjectState: ...
    @property
    def connection(self) -> BaseDatabaseWrapper | None: ...
    @property
    def model(self) -> ModelState: ...


def made_by(operation: migrations.CreateModel, app_label: str) -> ModelState:
    """The model that it makes, by name and options alone."""
    return ModelState(app_label, operation.name, [], dict(operation.options))


def has_table(model: ModelState) -> bool:
    """Whether Django keeps a table for a model: not for a proxy, unmanaged or swapped one."""
    options = model.options
    if options.get("proxy") or not options.get("managed", True):
        return False
    swapped_for = getattr(settings, options.get("swappable") or "", None)
    own_label = f"{model.app_label}.{model.name_lower}"
    return not swapped_for or str(swapped_for).lower() == own_label


def bound(field: Field[Any, Any], name: str) -> Any:
    """A copy of an unbound ``field`` that knows its name and column."""
    twin: Any = copy.copy(field)
    # The autodetector has named a field that may have been renamed, and the first name stays.
    twin.name = None
    twin.set_attributes_from_name(name)
    return twin


def column_name(field: Field[Any, Any], name: str) -> str | None:
    """The column; None for a field that has none, such as a many-to-many."""
    column: str | None = bound(field, name).column
    return column


@dataclass(frozen=True)
class Target:
    """What a foreign key points to."""

    app_label: str
    model: str
    field: str | None


def target_of(asked: Asked, field: Any) -> Target | None:
    """What a relation in the state points to, or None for a field that is none."""
    remote = getattr(field, "remote_field", None)
    if remote is None or not getattr(remote, "model", None):
        return None
    app, model = resolve_relation(remote.model, asked.app_label, asked.model.name_lower)
    to_fields = getattr(field, "to_fields", None) or [None]
    return Target(app, model, to_fields[0])


def stored_target_of(asked: Asked, field: Any) -> Target | None:
    """As ``target_of``, with the model whose table it is in place of a proxy."""
    target = target_of(asked, field)
    while target is not None:
        model = asked.before.models.get((target.app_label, target.model))
        if model is None or not model.options.get("proxy"):
            break
        base = next((base for base in model.bases if isinstance(base, str)), None)
        if base is None:
            break
        app_label, name = base.lower().split(".", 1)
        target = Target(app_label, name, target.field)
    return target


def has_foreign_key(field: Any) -> bool:
    """Whether the database holds a FOREIGN KEY for this field."""
    relation = getattr(field, "remote_field", None) is not None and not field.many_to_many
    return relation and bool(getattr(field, "db_constraint", True))


def db_type(asked: Asked, field: Any, name: str) -> str | None:
    """
    The column's type as the server will see it, in lower case.

    None where it cannot be told: a custom field that wants more than a state has.
    """
    if asked.connection is None:
        return None
    try:
        return _type(asked, field, name)
    except Exception:  # noqa: BLE001  a custom field may raise anything; unknown is an answer
        return None


def _type(asked: Asked, field: Any, name: str, depth: int = 0) -> str | None:
    target = target_of(asked, field)
    if target is not None and not field.many_to_many:
        if depth > 10:
            return None
        found, found_name = _target_field(asked.before, target)
        if getattr(found, "remote_field", None) is not None:
            return _type(asked, found, found_name, depth + 1)
        twin = bound(found, found_name)
        rel = twin.rel_db_type(asked.connection)
        return rel.lower() if rel else None
    if getattr(field, "generated", False):
        return _type(asked, field.output_field, name)
    kind = bound(field, name).db_type(asked.connection)
    return kind.lower() if kind else None


def _target_field(state: ProjectState, target: Target) -> tuple[Any, str]:
    """The field that a foreign key refers to, with its name."""
    model = state.models.get((target.app_label, target.model))
    if model is None:
        real = installed.get_model(target.app_label, target.model)
        found = real._meta.get_field(target.field) if target.field else real._meta.pk
        return found, found.name
    for name, candidate in model.fields.items():
        if name == target.field if target.field else candidate.primary_key:
            return candidate, name
    for base in model.bases:
        if isinstance(base, str):
            app, name = base.lower().split(".", 1)
            return _target_field(state, Target(app, name, target.field))
    return import_string(settings.DEFAULT_AUTO_FIELD)(primary_key=True), "id"


def referred(state: ProjectState, key: tuple[str, str], field: Any) -> Iterator[Any]:
    """The field that a foreign key of the model ``key`` refers to, what that refers to, and on."""
    while getattr(field, "remote_field", None) is not None and not field.many_to_many:
        key = resolve_relation(field.remote_field.model, *key)
        name = (getattr(field, "to_fields", None) or [None])[0]
        field, _ = _target_field(state, Target(*key, name))
        yield field


def is_counted(field: Field[Any, Any]) -> bool:
    """Whether a sequence gives it its values."""
    return field.get_internal_type().endswith("AutoField")


def check_of(asked: Asked, field: Any, name: str) -> str | None:
    """The CHECK that comes with a field's type, such as that of PositiveIntegerField."""
    if asked.connection is None or field.many_to_many or getattr(field, "generated", False):
        return None
    try:
        found = bound(field, name).db_check(asked.connection)
    except Exception:  # noqa: BLE001  as in db_type
        return None
    return str(found) if found else None


def is_in_index_together(asked: Asked, name: str) -> bool:
    """
    Whether an index of ``index_together`` covers the field: one that nothing declares any more.

    Django 5.1 took the option away; states begun before still have it, no rendered model does.
    """
    groups = asked.model.options.get("index_together") or ()
    return any(name in group for group in groups)


def is_read_again(asked: Asked, name: str) -> bool:
    """
    Whether a change of the column's type, free in itself, reads the table all the same.

    PostgreSQL makes anew each CHECK that names the column, and each index on it that has a
    condition or an expression.
    Source: src/backend/commands/tablecmds.c, ATPostAlterTypeCleanup (PostgreSQL 14 to 18)
    """
    options = asked.model.options
    found = [*options.get("indexes", ()), *options.get("constraints", ())]
    return any(
        name.lower() in fields_of(one)
        for one in found
        if isinstance(one, CheckConstraint)
        or getattr(one, "condition", None) is not None
        or getattr(one, "expressions", None)
    )


def computed_from(asked: Asked, name: str) -> list[str]:
    """The generated fields that read the field: PostgreSQL then gives its column no other type."""
    expressions = (
        (other, getattr(field, "expression", None)) for other, field in asked.model.fields.items()
    )
    return [other for other, expression in expressions if name.lower() in fields_read(expression)]


def is_referred_to(asked: Asked, name: str) -> bool:
    """Whether foreign keys refer to the column: Django makes each anew, which reads its table."""
    field: Any = asked.model.fields.get(name)
    if field is None or not field.unique:
        return False
    key = (asked.app_label, asked.model.name_lower)
    references = get_references(asked.before, key, (name, field))
    # Of a many-to-many field Django says that it may refer to any field; it is the primary key.
    return any(
        reference.to and (field.primary_key or not other.many_to_many)
        for _, _, other, reference in references
    )


def is_named_elsewhere(asked: Asked, name: str) -> bool:
    """Whether fields of other models say its name: ``to_field``, ``through_fields``."""
    key, field = (asked.app_label, asked.model.name_lower), asked.model.fields[name]
    for _, _, other, reference in get_references(asked.before, key, (name, field)):
        if reference.to and not other.many_to_many:
            return True
        if reference.through and name in (
            getattr(other.remote_field, "through_fields", None) or ()
        ):
            return True
    return False


def collation_of(field: Any) -> str | None:
    found: str | None = getattr(field, "db_collation", None)
    return found


def same_column(old: Field[Any, Any], new: Field[Any, Any]) -> bool:
    """Whether Django itself sees no difference that the database would notice."""
    return _told(old) == _told(new)


def _told(field: Field[Any, Any]) -> tuple[str, list[Any], dict[str, Any]]:
    _, path, args, kwargs = field.deconstruct()
    hidden = {*field.non_db_attrs, "default", "db_comment", "null", "db_index", "unique"}
    return path, list(args), {k: v for k, v in kwargs.items() if k not in hidden}


def is_altered(name: str, old: Field[Any, Any], new: Field[Any, Any]) -> bool:
    """Whether AlterField stops writes: not for a comment, nor for what only Python sees."""
    unlike = {*old.non_db_attrs, "default", "db_comment"}
    told = [
        (path, list(args), {k: v for k, v in kwargs.items() if k not in unlike})
        for _, path, args, kwargs in (old.deconstruct(), new.deconstruct())
    ]
    renamed = column_name(old, name) != column_name(new, name)
    return told[0] != told[1] or renamed or rebuilds_foreign_key(old, new)


def rebuilds_foreign_key(old: Field[Any, Any], new: Field[Any, Any]) -> bool:
    """Whether Django drops the FK and adds it again, for a change that may be no concern of it."""
    if not (has_foreign_key(old) and has_foreign_key(new)):
        return False
    return _seen(old) != _seen(new)


def _seen(field: Field[Any, Any]) -> tuple[str, list[Any], dict[str, Any]]:
    """As ``BaseDatabaseSchemaEditor._field_should_be_altered`` looks at it."""
    _, path, args, kwargs = field.deconstruct()
    hidden = {*field.non_db_attrs, "db_comment"}
    return path, list(args), {k: v for k, v in kwargs.items() if k not in hidden}


def like_index_is_rebuilt(field: Any, old: str, new: str) -> bool:
    """Whether Django drops or builds the ``_like`` index of an indexed text column."""
    indexed = field.db_index or field.unique
    return bool(indexed and old.startswith("varchar") != new.startswith("varchar"))


def short(text: object, chars: int = 24) -> str:
    """A name that may be long, cut so that a line stays a line."""
    whole = str(text)
    return whole if len(whole) <= chars else f"{whole[: chars - 1]}…"


def altered(asked: Asked) -> tuple[Any, Any]:
    """The field of an AlterField before and after."""
    operation: Any = asked.operation
    return asked.model.get_field(operation.name), operation.field
