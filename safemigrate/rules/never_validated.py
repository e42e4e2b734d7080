"""W409."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from safemigrate.operations import ContractDrop
from safemigrate.operations.contrib import is_not_valid, is_validation
from safemigrate.operations.phases import flat
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Placed, model_name_of, rule, table_of
from safemigrate.rules.elsewhere import mentions
from safemigrate.rules.sql import Effect, read_alone, sent
from safemigrate.rules.sql.context import plain

_OF_DOMAIN = "alter-domain-not-valid"
_ADDS = ("add-check-not-valid", "add-not-null-not-valid", "add-fk-not-valid", _OF_DOMAIN)
_ENDS = (
    *("validate-constraint", "validate-fk", "drop-constraint", "drop-fk", "rename-constraint"),
    *("validate-domain", "drop-domain-constraint"),
)
_TABLE_GOES = ("drop-table", "rename-table")
_SAYS_SO = re.compile(r"\bnot\s+valid\b", re.IGNORECASE)


@dataclass(frozen=True)
class _Added:
    """
    A constraint that is NOT VALID yet.

    ``name``: empty if the server makes it up. ``table``: empty where only ``model`` is known;
    ``models``: those that have it. ``says``: what it is about, as far as it is written there.
    """

    name: str
    app_label: str
    model: str = ""
    table: str = ""
    models: frozenset[tuple[str, str]] = frozenset()
    says: str = ""

    @property
    def domain(self) -> str:
        """The domain that it is one of; empty if it is a table's."""
        return "" if self.on else self.name.rpartition(" of ")[2]

    @property
    def on(self) -> str:
        return self.table or self.model


@rule("W409", "never-validated", about=Placed)
def never_validated(placed: Placed) -> Iterator[Finding]:
    """A constraint is added NOT VALID, and nothing ever validates it."""
    app_label = placed.migration.app_label
    operations = list(flat(placed.migration.operations))
    for number, operation in enumerate(operations):
        for added, inside in _added_by(operation, app_label, placed.state):
            rest = [(app_label, one) for one in operations[number + 1 :]]
            later = (
                (migration.app_label, one)
                for migration in placed.after()
                if migration is not placed.migration
                for one in flat(migration.operations)
            )
            after = (one for some in (rest, later) for one in some)
            if not inside and not any(_settles(one, app, added) for app, one in after):
                yield _finding(added, is_sql=isinstance(operation, migrations.RunSQL))


def _added_by(operation: Any, app_label: str, state: ProjectState) -> Iterator[tuple[_Added, bool]]:
    """Each, and whether the same SQL settles it."""
    if is_not_valid(operation):
        made, model = operation.constraint, operation.model_name.lower()
        yield (
            _Added(made.name, app_label, model, says=repr(made.deconstruct()).replace("__", " ")),
            False,
        )
    elif isinstance(operation, migrations.RunSQL) and any(
        map(_SAYS_SO.search, sent(operation.sql))
    ):
        effects = _effects(operation, app_label)
        for number, effect in enumerate(effects):
            if effect.fact.key in _ADDS and not effect.is_new:
                models = frozenset(
                    key for key, one in state.models.items() if plain(table_of(one)) == effect.table
                )
                added = _Added(
                    effect.name, app_label, table=effect.table, models=models, says=effect.text
                )
                yield added, any(_ends(one, added) for one in effects[number + 1 :])


def _effects(operation: migrations.RunSQL, app_label: str) -> list[Effect]:
    items = read_alone(app_label, [operation]).items
    return [item for item in items if isinstance(item, Effect)]


def _ends(effect: Effect, added: _Added) -> bool:
    """Whether it is validated or removed, or goes with its table."""
    if effect.fact.key in (*_TABLE_GOES, "drop-column"):
        # With its column a constraint goes too; which columns it has nobody knows.
        return bool(added.table) and effect.table == added.table
    if effect.fact.key == "drop-other" and added.domain:
        return effect.name in (f"domain {added.domain}", f"type {added.domain}")
    if effect.fact.key not in _ENDS or ("domain" in effect.fact.key) is not bool(added.domain):
        return False
    # The name of one that a model has is the only one of its kind in the database.
    same_table = not added.table or not effect.table or effect.table == added.table
    # Nobody knows what the server calls it, or a block puts the name together as it runs.
    return same_table and (not added.name or "%" in effect.name or effect.name == added.name)


def _settles(operation: Operation, app_label: str, added: _Added) -> bool:
    if isinstance(operation, migrations.RunSQL):
        return _settles_by_sql(operation, app_label, added)
    found: Any = operation
    if is_validation(operation) or isinstance(operation, migrations.RemoveConstraint):
        return not added.name or bool(found.name == added.name)
    goes = isinstance(operation, (migrations.DeleteModel, migrations.RenameModel))
    if isinstance(operation, (migrations.RemoveField, ContractDrop)):
        # What rests on a column goes with it.
        goes = found.name is None or any(
            mentions([added.says], column) for column in (found.name, f"{found.name}_id")
        )
    # Under another name it can be followed no further.
    return goes and _is_about(added, app_label, model_name_of(operation))


def _is_about(added: _Added, app_label: str, model: str) -> bool:
    if added.table:
        return (app_label, model) in added.models or added.table == f"{app_label}_{model}"
    return (added.app_label, added.model) == (app_label, model)


def _settles_by_sql(operation: migrations.RunSQL, app_label: str, added: _Added) -> bool:
    texts = [sql.lower() for sql in sent(operation.sql)]
    name = added.name.partition(" of ")[0] if added.domain else added.name
    named = [sql for sql in texts if (added.domain or name or "constraint").lower() in sql]
    if added.table:
        named += [sql for sql in texts if added.table.rpartition(".")[2] in sql]
    if not named:
        return False
    if any(_ends(effect, added) for effect in _effects(operation, app_label)):
        return True
    # What a block runs from a text of its own is read as far as it is written there.
    return any("execute" in sql and name.lower() in sql for sql in named)


def _finding(added: _Added, *, is_sql: bool) -> Finding:
    name = added.name or "A constraint"
    if added.domain:
        sql = f"ALTER DOMAIN {added.domain} VALIDATE CONSTRAINT {name.partition(' of ')[0]}"
        step = (
            f'migrations.RunSQL("{sql}"), in a migration of its own after this one. It reads every '
            "table that uses the domain under a SHARE lock: where they are large, a CHECK on each, "
            "NOT VALID and validated, takes its place."
        )
    elif is_sql:
        sql = f"ALTER TABLE {added.on} VALIDATE CONSTRAINT {added.name or '<its name>'}"
        step = f'migrations.RunSQL("{sql}"), in a migration of its own after this one.'
    else:
        step = (
            f'ValidateConstraint("{added.model}", "{added.name}") of '
            "django.contrib.postgres.operations, in a migration of its own after this one."
        )
    return Finding(
        what=f"{short(name, 40)} stays NOT VALID: nothing validates it.",
        why=(
            f"Rows of {added.on or 'tables that use it'} that were there before may break it, and "
            "nobody finds out. The planner cannot rely on it, and a dump with such rows cannot be "
            "restored."
        ),
        steps=(step,),
    )
