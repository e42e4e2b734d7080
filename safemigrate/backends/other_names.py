"""
One content type for a model that has a name in each release: what code finds.

With the new name of a model Django renames its row of ``django_content_type``. Code of the other
release that looks for it by the name that it knows would make a second one, and what refers to
content types would be spread over both. So both names are written down where that row is, and
where Django has found nothing, the row under the other name is the answer. Every process loads
this as it starts, and nothing of what writes the names down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache, wraps
from typing import Any

from django.apps import apps
from django.apps.registry import Apps
from django.db import Error, models, transaction

TABLE = "safemigrate_renamed"
IS_ASKED = {"app_label", "model"}


@cache
def pair_model() -> Any:
    """Return the model of our table, in an app registry of its own."""

    class Pair(models.Model):
        id = models.BigAutoField(primary_key=True)
        app_label = models.CharField(max_length=100)
        old = models.CharField(max_length=100)
        new = models.CharField(max_length=100)

        class Meta:
            apps = Apps()
            app_label = "safemigrate"
            db_table = TABLE

        def __str__(self) -> str:
            return f"{self.app_label}.{self.old} {self.new}"

    return Pair


def pairs_of(using: str) -> Any:
    return pair_model()._base_manager.using(using)


def follow_renames() -> None:
    """
    Have every manager of content types, and what they return, know the other names.

    Not by another class of manager: that would be a change of the model for ``makemigrations``.
    """
    if not apps.is_installed("django.contrib.contenttypes"):
        return
    from django.contrib.contenttypes.models import ContentType, ContentTypeManager

    manager: Any = ContentTypeManager
    made_of = manager._queryset_class
    if not issubclass(made_of, FoundByOtherNames):
        composed = type(made_of.__name__, (FoundByOtherNames, made_of), {})
        manager._queryset_class = FoundByOtherNames if made_of is models.QuerySet else composed
        content_type: Any = ContentType
        content_type.model_class = _with_other_names(content_type.model_class)


class FoundByOtherNames(models.QuerySet[Any]):
    """Content types, of which none is made that is there under another name of its model."""

    def get(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().get(*args, **kwargs)
        except self.model.DoesNotExist:
            found = None if args else self._under_another_name(kwargs)
            if found is None:
                raise
            return found

    def create(self, **kwargs: Any) -> Any:
        self._for_write = True
        found = self._under_another_name(kwargs)
        return super().create(**kwargs) if found is None else found

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        self._for_write = True
        objs = list(objs)
        renaming = {label for label in {one.app_label for one in objs} if names_in(self.db, label)}
        missing = [
            one
            for one in objs
            if one.app_label not in renaming
            or not self._under_another_name({"app_label": one.app_label, "model": one.model})
        ]
        return super().bulk_create(missing, *args, **kwargs)

    def _under_another_name(self, asked: dict[str, Any]) -> Any:
        """Return the row by the name that this code knows; None if there is none."""
        if asked.keys() != IS_ASKED or not is_model(**asked):
            return None
        app_label, model = asked["app_label"], asked["model"]
        for name in _other_names(self.db, app_label, model):
            if not is_model(app_label, name):
                with suppress(self.model.DoesNotExist):
                    found: Any = super().get(app_label=app_label, model=name)
                    if isinstance(found, self.model):
                        found.model = model  # what it is cached by
                    return found
        return None


def _with_other_names(model_class: Callable[[Any], Any]) -> Callable[[Any], Any]:
    # Once of no model, always: a name is written down before there is a row of it.
    strangers: set[tuple[str, str, str]] = set()

    @wraps(model_class)
    def found(self: Any) -> Any:
        model = model_class(self)
        using, key = self._state.db, (self._state.db, self.app_label, self.model)
        if model is not None or using is None or key in strangers:
            return model
        for name in _other_names(*key):
            if is_model(self.app_label, name):
                self.model = name
                return model_class(self)
        strangers.add(key)
        return None

    return found


def is_model(app_label: str, model: str) -> bool:
    """Whether this code has such a model."""
    return model in apps.all_models.get(app_label, {})


def _other_names(using: str, app_label: str, model: str) -> list[str]:
    return linked(names_in(using, app_label), model)


def linked(pairs: Sequence[tuple[str, str]], model: str) -> list[str]:
    """Return the other names of a model; one that was renamed twice has several."""
    names = [model]
    for name in names:  # which grows
        names += [one for pair in pairs if name in pair for one in pair if one not in names]
    return names[1:]


def names_in(using: str, app_label: str) -> list[tuple[str, str]]:
    """Return the pairs of names in an app; none where there are none, or nobody can tell."""
    if not apps.all_models.get(app_label):
        return []
    try:
        with transaction.atomic(using=using):
            pairs = pairs_of(using).filter(app_label=app_label)
            return list(pairs.values_list("old", "new"))
    except Error:
        return []  # no such table, or not ours to read: as if we were not here
