"""E143."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations
from django.db.migrations.operations.base import Operation

from safemigrate.facts.statements import Harm
from safemigrate.operations import ContractDrop
from safemigrate.operations.reading import column_name, short
from safemigrate.rules.base import Finding, Step, rule, table_of
from safemigrate.rules.sql import Effect, effects_of, quoted, said
from safemigrate.rules.sql.context import plain


@rule("E143", "sql-drop", operation=migrations.RunSQL)
def sql_drop(step: Step) -> Iterator[Finding]:
    """SQL that drops what the running release may still use."""
    for effect in effects_of(step, Harm.DROP):
        instead = () if effect.backwards else tuple(_instead(step, effect))
        thing = effect.name or effect.on
        yield Finding(
            what=f"{said(effect)} drops {short(thing, 34)}.",
            why=(
                f"{quoted(effect)}: the release that is still running fails where it uses it, "
                "and what was in it is gone."
            ),
            instead=instead or None,
            steps=()
            if instead
            else (
                "Deploy code that does not use it any more.",
                "Drop it in a later deploy, wrapped: "
                'Assured(migrations.RunSQL(...), because="unused since ...").',
            ),
        )


def _instead(step: Step, effect: Effect) -> Iterator[Operation]:
    """The contract, where the models still know what is dropped."""
    for model in step.before.models.values():
        if model.app_label != step.app_label or plain(table_of(model)) != effect.table:
            continue
        if effect.fact.key == "drop-table":
            yield ContractDrop(model.name)
        elif effect.fact.key == "drop-column":
            for name, field in model.fields.items():
                if column_name(field, name) == effect.name:
                    yield ContractDrop(model.name, name)
