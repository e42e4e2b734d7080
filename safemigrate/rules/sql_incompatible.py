"""E150."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.facts.statements import Harm
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import Effect, Setting, effects_of, is_atomic, quoted, read, said

_MEANS = {
    "add-column-required": "fails if the table has rows, and INSERTs without the column fail",
    "drop-default": "INSERTs that leave the value to the database write NULL or fail",
    "toggle-trigger": "what the trigger kept right is wrong from now on",
    "toggle-rule": "what the rule did is not done any more",
    "row-security": "queries of the running release see only the rows that a policy allows",
    "create-policy-restrictive": "rows that it does not allow cannot be seen or written any more",
    "alter-policy": "rows that the policy allowed may not be seen or written any more",
    "alter-role": "the running release may not connect, or see and do what it did, any more",
    "drop-policy": "rows that the policy allowed cannot be seen any more",
    "owner": "the role that runs the application may not be allowed to use it any more",
    "create-rule": "writes of the running release do something else from now on",
    "revoke": "queries of the running release are refused",
}


@rule("E150", "sql-incompatible", operation=migrations.RunSQL)
def sql_incompatible(step: Step) -> Iterator[Finding]:
    """SQL after which the running release is refused, or does something else."""
    for item in read(step):
        if isinstance(item, Setting) and (item.name, (item.value or "").lower()) == _NO_TRIGGERS:
            yield _fires_nothing(item)
    effects = list(effects_of(step, Harm.INCOMPATIBLE))
    for number, effect in enumerate(effects):
        if effect.backwards or _is_undone(step, effect, effects[number + 1 :]):
            continue
        words, gentle = effect.fact.words, effect.fact.gentle
        yield Finding(
            what=f"{said(effect)}: {short(words, 32)} breaks users of {short(effect.on, 20)}.",
            why=f"{quoted(effect)} on {effect.on}: {_MEANS[effect.fact.key]}.",
            steps=(f"Use {gentle}.",)
            if gentle
            else (
                "Deploy code that does not depend on it.",
                "Then do it in a later deploy, wrapped: "
                'Assured(migrations.RunSQL(...), because="...").',
            ),
        )


_NO_TRIGGERS = ("session_replication_role", "replica")


def _fires_nothing(item: Setting) -> Finding:
    return Finding(
        what=f"{said(item)}: with {' = '.join(_NO_TRIGGERS)} no trigger fires.",
        why=(
            f"{quoted(item)}: what this session writes from then on, no trigger sees. Foreign keys "
            "are not checked, so that rows may refer to nothing, and columns that a trigger keeps "
            "equal for the old release and the new one differ. It takes no lock, and nobody is "
            "told."
        ),
        steps=(
            "Leave it out, and write in batches with BatchedBackfill: slower, and right.",
            "If one trigger is in the way, let that one look: WHEN (current_setting(...) ...).",
        ),
    )


def _is_undone(step: Step, effect: Effect, after: list[Effect]) -> bool:
    """A trigger that is enabled, or enabled again before anybody else can write."""
    if effect.fact.key not in ("toggle-trigger", "toggle-rule"):
        return False
    return effect.name == "ENABLE" or any(
        one.fact.key == effect.fact.key
        and one.name == "ENABLE"
        and one.table == effect.table
        and (one.unit == effect.unit or is_atomic(step) is not False)
        for one in after
    )
