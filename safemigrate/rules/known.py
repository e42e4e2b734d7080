"""Operations that are known by what they do, contrib's included, without importing psycopg."""

from __future__ import annotations

from django.db import migrations
from django.db.migrations.operations.base import Operation

from safemigrate.operations import SafeOperation
from safemigrate.operations.contrib import is_contrib
from safemigrate.operations.reading import is_in_index_together
from safemigrate.rules.base import Step

_KNOWN_MODULES = (
    "django.db.migrations.operations.",
    "django.contrib.",
    "safemigrate.operations.",
)


def is_concurrent(operation: Operation) -> bool:
    """Contrib's concurrent index operations (ours are never asked about)."""
    return is_contrib(operation, "AddIndexConcurrently", "RemoveIndexConcurrently")


def is_exclusion(constraint: object) -> bool:
    return is_contrib(constraint, "ExclusionConstraint")


def needs_autocommit(operation: Operation) -> bool:
    """Whether it fails, or does harm, inside a transaction."""
    if isinstance(operation, SafeOperation):
        return operation.needs_autocommit
    return is_concurrent(operation)


def free_of_index_together(step: Step, name: str) -> tuple[str, ...]:
    """The way out for a field that ``index_together`` names; empty for any other."""
    if not is_in_index_together(step, name):
        return ()
    model = step.model.name
    return (
        f"An index of {model}.{name} is of index_together, which Django has no more. Declare it: "
        'models.Index(fields=[...], name="...") with the same fields in Meta.indexes. '
        "makemigrations then keeps the index under that name. If nothing needs it, remove it: "
        f'migrations.AlterIndexTogether("{model.lower()}", set()) in a migration of its own.',
        "Make this change in a later run of makemigrations.",
    )


def is_foreign_mark(operation: Operation) -> bool:
    """Whether it does nothing and says something to django-migration-linter."""
    known = type(operation)
    package = known.__module__.split(".")[0]
    return known.__name__ == "IgnoreMigration" and package == "django_migration_linter"


def is_known(operation: Operation) -> bool:
    """
    Whether what it does to the database is written by somebody we know.

    A subclass counts as known as long as it leaves alone what runs it forwards.
    """
    if is_foreign_mark(operation):
        return True
    runs_it = ("database_forwards", "forwards", "change")
    writer = next(cls for cls in type(operation).__mro__ if any(n in vars(cls) for n in runs_it))
    return writer is not Operation and (writer.__module__ + ".").startswith(_KNOWN_MODULES)


def is_unknown(operation: Operation) -> bool:
    """Code may do anything to the database."""
    if isinstance(operation, migrations.RunPython):
        return operation.code is not migrations.RunPython.noop
    return not is_known(operation)
