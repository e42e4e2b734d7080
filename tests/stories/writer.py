"""
What a release's own code does with its models, whatever they are; runs in its process.

Everything written is logged for the oracle: ``("saved", label, pk, {attname: value})`` and
``("deleted", label, pk)``. Values are made of a number that is never used twice, so that what is
unique stays unique; they fit narrow types as well as wide ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import models, transaction
from django.db.models import Count, Field, Model
from django.db.models.constants import LOOKUP_SEP
from django.db.models.fields import NOT_PROVIDED

from safemigrate.operations.redefining import fields_read
from tests.stories.made import made_of

Log = list[tuple[Any, ...]]
Doomed = dict[str, list[Any]]


def managed() -> list[type[Model]]:
    here = Path.cwd()
    own = [config for config in apps.get_app_configs() if Path(config.path).is_relative_to(here)]
    found = [m for config in own for m in config.get_models(include_auto_created=True)]
    return [m for m in found if m._meta.managed and not m._meta.proxy and not m._meta.swapped]


def describe() -> dict[str, dict[str, Any]]:
    """What the oracle must know of each model and field."""
    return {model._meta.label: _described(model) for model in managed()}


def _described(model: type[Model]) -> dict[str, Any]:
    fields = {}
    for f in model._meta.local_concrete_fields:
        called = (
            callable(f.default)
            or getattr(f, "auto_now", False)
            or getattr(f, "auto_now_add", False)
        )
        fields[f.attname] = {
            "name": f.name,
            "null": f.null,
            "pk": f.primary_key,
            "volatile": called or f.generated or f.has_db_default(),
            "generated": f.generated,
            "unique": _is_unique(f),
            "max_length": f.max_length,
            "digits": f.max_digits - f.decimal_places
            if isinstance(f, models.DecimalField)
            else None,
            "default": None if called or f.default is NOT_PROVIDED else f.to_python(f.default),
        }
    return {"fields": fields}


def read() -> dict[str, dict[Any, dict[str, Any]]]:
    """Every row of every model: ``{label: {pk: {attname: value}}}``."""
    found: dict[str, dict[Any, dict[str, Any]]] = {}
    for model in managed():
        names = [f.attname for f in model._meta.local_concrete_fields]
        rows = model._base_manager.order_by("pk").values("pk", *names)
        found[model._meta.label] = {
            row["pk"]: {name: plain(row[name]) for name in names} for row in rows
        }
    return found


def plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return bytes(value)
    return str(value) if isinstance(value, models.fields.files.FieldFile) else value


def write(
    window: str,
    base: int,
    doomed: Doomed,
    values: dict[str, str],
    limits: dict[str, dict[str, Any]],
    code: str,
    little: bool,
) -> tuple[Log, Doomed]:
    """
    Do with each model what code does, and return the log and what the next window deletes.

    Shape:   base: the first number for values. limits: ``label.attname`` -> what the other release
             asks of the field beside this one. little: one of each, for the pauses of a deploy.
    """
    writer = Writer(base, doomed, values, limits)
    for model in sorted(managed(), key=lambda m: bool(m._meta.auto_created)):
        writer.a_little(model) if little else writer.everything(model)
    if code:
        exec(code, {"models": _names(), "window": window, "wrote": writer.wrote, **_names()})
    return writer.log, writer.doomed


def _names() -> dict[str, type[Model]]:
    return {model.__name__: model for model in managed()}


class Writer:
    def __init__(
        self, base: int, doomed: Doomed, values: dict[str, str], limits: dict[str, dict[str, Any]]
    ) -> None:
        self.limits = limits
        self.keys: dict[type[Model], list[Any]] = {}  # of all rows there are
        self.numbers = itertools.count(base)
        self.doomed = {label: list(keys) for label, keys in doomed.items()}
        self.values = values
        self.log: Log = []

    def a_little(self, model: type[Model]) -> None:
        self.create(model)
        self.save(model)

    def everything(self, model: type[Model]) -> None:
        self.create(model)
        self.create_with_defaults(model)
        self.get_or_create(model)
        self.update_or_create(model)
        self.save(model)
        self.save_some(model)
        self.update(model)
        self.add_one(model)
        # Django sets no order in bulk, and takes no bulk of a model of two tables.
        if not (model._meta.parents or model._meta.order_with_respect_to):
            self.bulk_create(model)
            self.bulk_update(model)
            self.upsert(model)
        self.ask(model)
        self.delete(model)

    # What it does ------------------------------------------------------------------------------

    def create(self, model: type[Model]) -> Model:
        instance = model._base_manager.create(**self.sample(model))
        self.wrote(instance)
        return instance

    def create_with_defaults(self, model: type[Model]) -> None:
        given = {
            f.attname: value
            for f, value in self._sampled(model)
            if self._unique(f) or not self._may_be_left_out(f)
        }
        self.wrote(model._base_manager.create(**given))

    def _may_be_left_out(self, f: Field[Any, Any]) -> bool:
        may_be_null = f.null and not self._limit(f, "never_null")
        return may_be_null or f.has_default() or f.has_db_default()

    def get_or_create(self, model: type[Model]) -> None:
        sample = self.sample(model)
        # Nor NULL: the database may fill it at once for the other release.
        where = {n: v for n, v in sample.items() if not isinstance(v, dict | float | None)}
        rest = {name: v for name, v in sample.items() if name not in where}
        if not any(isinstance(v, str | UUID | datetime) for v in where.values()):
            return  # nothing that no other row has
        made, was_made = model._base_manager.get_or_create(**where, defaults=rest)
        self.wrote(made)
        again, made_again = model._base_manager.get_or_create(**where, defaults=rest)
        assert (was_made, made_again, again.pk) == (True, False, made.pk)

    def update_or_create(self, model: type[Model]) -> None:
        for pk in self.some(model, 1):
            one, made = model._base_manager.update_or_create(pk=pk, defaults=self.change(model))
            assert not made
            self.wrote(one)

    def save(self, model: type[Model]) -> None:
        for pk in self.some(model, 2):
            one = model._base_manager.get(pk=pk)
            for name, value in self.change(model).items():
                setattr(one, name, value)
            one.save()
            self.wrote(one)

    def save_some(self, model: type[Model]) -> None:
        for pk, (name, value) in zip(self.some(model, 9), self.change(model).items(), strict=False):
            one = model._base_manager.get(pk=pk)
            setattr(one, name, value)
            one.save(update_fields=[name])
            self.wrote(one, name)

    def update(self, model: type[Model]) -> None:
        for pk, (name, value) in zip(self.some(model, 9), self.change(model).items(), strict=False):
            assert model._base_manager.filter(pk=pk).update(**{name: value}) == 1
            self.wrote(model._base_manager.get(pk=pk), name, **{name: value})
        shared = [f for f in self.changeable(model) if f not in self.unique(model)]
        if pks := self.some(model, 2):
            value = self.change(model, shared)
            if value:
                assert model._base_manager.filter(pk__in=pks).update(**value) == len(pks)
                for one in model._base_manager.filter(pk__in=pks):
                    self.wrote(one, *value, **value)

    def add_one(self, model: type[Model]) -> None:
        """``F("n") + 1``: the value is made by the server from what is there."""
        for f in self.changeable(model):
            plain_number = isinstance(f, models.IntegerField) and not f.remote_field
            if not plain_number or f in self.unique(model) or self._custom(f) or f.choices:
                continue
            for pk in self.some(model, 1):
                rows = model._base_manager.filter(pk=pk)
                before = rows.values_list(f.attname, flat=True).get()
                rows.update(**{f.name: models.F(f.name) + 1})
                after = None if before is None else before + 1
                self.wrote(rows.get(), f.attname, **{f.attname: after})

    def bulk_create(self, model: type[Model]) -> None:
        made = [model(**self.sample(model)) for _ in range(3)]
        for one in model._base_manager.bulk_create(made):
            self.wrote(one)

    def bulk_update(self, model: type[Model]) -> None:
        found = list(model._base_manager.filter(pk__in=self.some(model, 2)))
        names = [f.name for f in self.changeable(model)]
        for one in found:
            for name, value in self.change(model).items():
                setattr(one, name, value)
        if names and found:
            model._base_manager.bulk_update(found, names)
        for one in found:
            self.wrote(one, *(f.attname for f in self.changeable(model)))

    def upsert(self, model: type[Model]) -> None:
        names = [f.name for f in self.changeable(model)]
        pks = self.some(model, 1)
        if not names or not pks or model._meta.pk in self.changeable(model):
            return
        if isinstance(model._meta.pk, models.fields.composite.CompositePrimaryKey):
            return
        one = model(pk=pks[0], **self.sample(model))
        model._base_manager.bulk_create(
            [one], update_conflicts=True, update_fields=names, unique_fields=["pk"]
        )
        given = {f.attname: plain(getattr(one, f.attname)) for f in self.changeable(model)}
        self.wrote(model._base_manager.get(pk=pks[0]), *given, **given)

    def ask(self, model: type[Model]) -> None:
        """Queries that name each field; their answers must be the rows' own."""
        rows = list(model._base_manager.order_by("pk"))
        # Joins rows away whose key is NULL and, as this release knows it, cannot be.
        assert len(model._base_manager.select_related()) <= len(rows)
        with transaction.atomic():
            assert len(model._base_manager.select_for_update()) == len(rows)
        for f in model._meta.concrete_fields:
            values = [plain(getattr(row, f.attname)) for row in rows]
            list(model._base_manager.order_by(f.name).values_list(f.name, flat=True))
            nulls = model._base_manager.filter(**{f"{f.name}{LOOKUP_SEP}isnull": True}).count()
            assert nulls == values.count(None), (model, f.name)
            list(model._base_manager.values(f.name).annotate(of_them=Count("pk")))
            some = [value for value in values if value is not None][:1]
            for value in some:
                if not isinstance(value, dict | list | float):
                    found = model._base_manager.filter(**{f.name: value}).count()
                    assert found == values.count(value), (model, f.name, value)

    def delete(self, model: type[Model]) -> None:
        """What the window before, of whichever release, left to be deleted; and leave some."""
        label = model._meta.label
        for number, pk in enumerate(self.doomed.pop(label, [])):
            if number % 2:
                model._base_manager.filter(pk=pk).delete()
            else:
                model._base_manager.get(pk=pk).delete()
            for table in _tables(model):
                self.log.append(("deleted", table._meta.label, pk))
                self.keys[table].remove(pk) if table in self.keys else None
        self.doomed[label] = [self.create(model).pk for _ in range(2)]

    # What it writes ----------------------------------------------------------------------------

    def wrote(self, instance: Model, *names: str, **given: Any) -> None:
        """Log what was given, and what the server made of it."""
        for model in _tables(type(instance)):
            values = {}
            for f in model._meta.local_concrete_fields:
                if names and f.attname not in names and f.name not in names and not _follows(f):
                    continue
                value = given.get(f.attname, given.get(f.name, getattr(instance, f.attname)))
                values[f.attname] = plain(value)
            made = [f for f in model._meta.local_concrete_fields if f.attname in values]
            made = [f for f in made if _is_made_by_the_server(f, values[f.attname])]
            if made:
                rows = model._base_manager.filter(pk=instance.pk)
                found = rows.values(*(f.attname for f in made)).get()
                values |= {name: plain(value) for name, value in found.items()}
            for f in model._meta.local_concrete_fields:
                if f.attname in values:
                    values[f.attname] = f.to_python(values[f.attname])
            self.log.append(("saved", model._meta.label, instance.pk, values))
            keys = self.keys.get(model)
            if keys is not None and instance.pk not in keys:
                keys.append(instance.pk)

    def sample(self, model: type[Model]) -> dict[str, Any]:
        return {f.attname: value for f, value in self._sampled(model)}

    def _sampled(self, model: type[Model]) -> Iterator[tuple[Field[Any, Any], Any]]:
        for f in _written(model):
            yield f, self.value(model, f)

    def change(
        self, model: type[Model], fields: list[Field[Any, Any]] | None = None
    ) -> dict[str, Any]:
        fields = self.changeable(model) if fields is None else fields
        return {f.attname: self.value(model, f) for f in fields}

    def changeable(self, model: type[Model]) -> list[Field[Any, Any]]:
        key = model._meta.pk_fields
        return [f for f in _written(model) if not f.primary_key and f not in key]

    def unique(self, model: type[Model]) -> list[Field[Any, Any]]:
        """Fields of which no two rows may share what this writes."""
        return [f for f in model._meta.concrete_fields if self._unique(f)]

    def _unique(self, f: Field[Any, Any]) -> bool:
        return bool(_is_unique(f) or self._limit(f, "unique"))

    def _limit(self, f: Field[Any, Any], what: str) -> Any:
        return self.limits.get(f"{f.model._meta.label}.{f.attname}", {}).get(what)

    def some(self, model: type[Model], count: int) -> list[Any]:
        """Keys of rows of whichever release, others each time."""
        keys = self._lasting(model)
        start = next(self.numbers)
        return [keys[(start + n) % len(keys)] for n in range(min(count, len(keys)))]

    def _lasting(self, model: type[Model]) -> list[Any]:
        """Keys of the rows that nobody is going to delete."""
        doomed = set(self.doomed.get(model._meta.label, ()))
        for child in model._meta.related_objects:
            if child.parent_link:
                doomed |= set(self.doomed.get(child.related_model._meta.label, ()))
        if model not in self.keys:
            self.keys[model] = list(model._base_manager.order_by("pk").values_list("pk", flat=True))
        return [pk for pk in self.keys[model] if pk not in doomed]

    def _custom(self, f: Field[Any, Any]) -> str | None:
        label = f.model._meta.label
        return self.values.get(f"{label}.{f.name}") or self.values.get(f"{label}.{f.attname}")

    def value(self, model: type[Model], f: Field[Any, Any]) -> Any:
        n = next(self.numbers)
        if expression := self._custom(f):
            names = {"n": n, "D": Decimal, "UUID": UUID, "date": date, "key": self.key}
            return eval(expression, names)
        if f.remote_field is not None:
            return self._related(model, f, n)
        may_be_null = f.null and not self._limit(f, "never_null")
        if may_be_null and not n % 3:
            return None
        if f.choices:
            return [key for key, _ in f.flatchoices][n % len(f.flatchoices)]
        return f.to_python(made_of(f, n, self._limit))

    def key(self, *names: str) -> Any:
        """That of a row of this model; of several models one that all of them have."""
        tables = [_names()[name] for name in names]
        while True:
            keys = [set(self._lasting(model)) for model in tables]
            if common := set.intersection(*keys):
                return max(common)
            shortest = min(range(len(keys)), key=lambda number: max(keys[number], default=0))
            self.create(tables[shortest])

    def _related(self, model: type[Model], f: Any, n: int) -> Any:
        remote = f.remote_field.model._meta.concrete_model
        if f.null and not self._limit(f, "never_null") and (not n % 3 or remote is model):
            return None
        pks = [] if self._unique(f) else self.some(remote, 1)
        other = remote._base_manager.get(pk=pks[0]) if pks else self.create(remote)
        return getattr(other, f.target_field.attname)


def _written(model: type[Model]) -> list[Field[Any, Any]]:
    """Fields for which code gives a value."""
    return [
        f
        for f in model._meta.concrete_fields
        if not f.generated
        and not isinstance(f, models.AutoField | models.BigAutoField | models.SmallAutoField)
        and not (f.remote_field is not None and getattr(f.remote_field, "parent_link", False))
        and not (f.primary_key and f.has_default())
        and f.name != "_order"
    ]


def _tables(model: type[Model]) -> list[type[Model]]:
    """Its own table, and those of its parents, where a row has the same key."""
    return [m for m in [model, *model._meta.all_parents] if not m._meta.proxy]


def _is_unique(f: Field[Any, Any]) -> bool:
    options = f.model._meta
    groups = [*options.unique_together]
    for constraint in options.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            groups += [constraint.fields, fields_read(*constraint.expressions)]
    return f.unique or any(f.name in group for group in groups) or f in options.pk_fields


def _follows(f: Field[Any, Any]) -> bool:
    return f.generated or getattr(f, "auto_now", False)


def _is_made_by_the_server(f: Field[Any, Any], value: Any) -> bool:
    return f.generated or hasattr(value, "resolve_expression")
