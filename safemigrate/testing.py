"""For a project's own test suite."""

from __future__ import annotations

from collections.abc import Collection

from safemigrate import baseline
from safemigrate.checks import not_exempt
from safemigrate.judge import judge_project
from safemigrate.speak import text


def assert_migrations_are_safe(*, apps: Collection[str] | None = None) -> None:
    """
    Fail with every error in the project's migrations that is not in the baseline.

    ``apps``: labels, all by default. Opens no connection.
    Raises: AssertionError; BaselineUnreadable.
    """
    found = not_exempt(judge_project(apps=apps), baseline.read(baseline.path()))
    errors = [text(judged) for judged in found if judged.is_error]
    if errors:
        raise AssertionError("\n\n".join(["Some migrations are not safe.", *errors]))
