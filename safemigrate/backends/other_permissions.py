"""
What code takes away from somebody with ``set()`` while a permission is there under two names.

From the expand of a renamed model to its contract who has a default permission has it under either
name, and who loses one of the two loses both (``operations/permissions.py``). A list that code sets
has the name that this code knows. ``set()`` finds the other one too and would take it away, since
it is in no list, and with it what is in the list. So code takes a name that it does not know from
nobody who keeps the one that it knows.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models.signals import m2m_changed

from safemigrate.backends.other_names import is_model, linked, names_in


def keep_permissions() -> None:
    """Have all many-to-many fields to permissions do so, those of other models than users too."""
    if apps.is_installed("django.contrib.auth"):
        from django.contrib.auth.models import Permission

        def receiver(
            sender: Any, action: str, model: Any, reverse: bool, pk_set: Any, **more: Any
        ) -> None:
            if action == "pre_remove" and model is Permission and not reverse and pk_set:
                # Django deletes what is in the set when all receivers have seen it.
                pk_set -= _meant_to_stay(sender, model, pk_set, more["instance"], more["using"])

        m2m_changed.connect(receiver, dispatch_uid="safemigrate.keep_permissions", weak=False)


def _meant_to_stay(through: Any, model: Any, keys: set[Any], whose: Any, using: str) -> set[Any]:
    """Return those of ``keys`` whose other name this code knows, and ``whose`` it remains."""
    rows = model._base_manager.using(using).filter(pk__in=keys)
    asked = rows.values_list(
        "pk", "codename", "content_type", "content_type__app_label", "content_type__model"
    )
    to = next(one.name for one in through._meta.fields if one.related_model is model)
    of = next(
        one.name
        for one in through._meta.fields
        if one.name != to and one.related_model and isinstance(whose, one.related_model)
    )
    kept = through._base_manager.using(using).filter(**{of: whose}).exclude(**{f"{to}__in": keys})
    found = set()
    strangers: dict[str, dict[str, str]] = {}
    for key, codename, kind, label, model_name in asked:
        if is_model(label, model_name) and codename.endswith(f"_{model_name}"):
            continue  # the name that this code knows
        if label not in strangers:
            strangers[label] = _strangers(using, label)
        for name, own in strangers[label].items():
            twin = codename.removesuffix(f"_{name}") + f"_{own}"
            same = {f"{to}__codename": twin, f"{to}__content_type": kind}
            if codename.endswith(f"_{name}") and kept.filter(**same).exists():
                found.add(key)
    return found


def _strangers(using: str, app_label: str) -> dict[str, str]:
    """Return ``{name: the name that this code has for it}`` of its models in the other release."""
    pairs = names_in(using, app_label)
    return {
        name: own
        for name in {name for pair in pairs for name in pair}
        if not is_model(app_label, name)
        for own in linked(pairs, name)
        if is_model(app_label, own)
    }
