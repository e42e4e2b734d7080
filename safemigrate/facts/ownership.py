"""Whose migrations they are: this project's to change, or those of an installed package."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from django.apps import AppConfig
from django.conf import settings


def is_first_party_app(config: AppConfig) -> bool:
    """Whether its migrations are this project's to change, wherever its code comes from."""
    if config.label in _said_to_be_foreign():
        return False
    if config.name.split(".")[0] in ("django", "safemigrate"):
        return config.label in settings.MIGRATION_MODULES
    folder = migrations_folder(config)
    return folder is not None and is_first_party(folder)


def _said_to_be_foreign() -> tuple[str, ...]:
    # Read by hand: this is asked for every app at each check, and an error is told elsewhere.
    ours = getattr(settings, "SAFEMIGRATE", {})
    named = ours.get("THIRD_PARTY", ()) if isinstance(ours, Mapping) else ()
    return tuple(named) if isinstance(named, list | tuple) else ()


@cache
def is_first_party(folder: str) -> bool:
    """Whether a folder is outside of where packages are installed."""
    real = os.path.realpath(folder)
    parts = set(Path(real).parts)
    if parts & {"site-packages", "dist-packages"}:
        return False
    return not any(real.startswith(root + os.sep) for root in _installed())


@cache
def _installed() -> frozenset[str]:
    """Where packages go; of a distribution's own making some are not called site-packages."""
    return frozenset(os.path.realpath(sysconfig.get_path(kind)) for kind in ("purelib", "platlib"))


def migrations_folder(config: AppConfig) -> str | None:
    """Where its migrations are, found without importing them; None if it has none."""
    if config.label not in settings.MIGRATION_MODULES:
        return os.path.join(config.path, "migrations")  # noqa: PTH118  a string, for scandir
    module = settings.MIGRATION_MODULES[config.label]
    spec = importlib.util.find_spec(module) if module else None
    locations = list(spec.submodule_search_locations or ()) if spec else []
    return locations[0] if locations else None
