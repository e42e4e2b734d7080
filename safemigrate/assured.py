"""What stands on a Migration class and in the settings to excuse findings, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from django.db.migrations.migration import Migration

from safemigrate.facts import settings
from safemigrate.facts.assurance import Assurance, assurance
from safemigrate.facts.errors import WrongSettings
from safemigrate.rules import Finding, Vouched, judge, registry

ATTRIBUTE = "assured"


def words_of(migration: Migration) -> tuple[dict[str, Assurance], list[tuple[str, str]]]:
    """Shape: ({rule id: assurance}, [(which, why it cannot be read)])."""
    raw = getattr(migration, ATTRIBUTE, None)
    if raw is None:
        return {}, []
    if not isinstance(raw, Mapping):
        return {}, [(ATTRIBUTE, f"it is of type {type(raw).__name__}, and must be a dict")]
    words: dict[str, Assurance] = {}
    wrong: list[tuple[str, str]] = []
    for name, value in raw.items():
        rule = str(name).removeprefix("safemigrate.")
        by = f"assured[{name!r}]"
        if rule not in registry():
            wrong.append((by, f"no rule has the id {name!r}"))
            continue
        try:
            words[rule] = assurance(value)
        except ValueError as error:
            wrong.append((by, str(error)))
    return words, wrong


def of_settings(today: date, names: Iterable[str]) -> Iterator[Finding]:
    """W406 for what ``SAFEMIGRATE["ASSURED"]`` names and is no installed package's migration."""
    words = _of_settings()
    known = set(names) if words else set()
    for name, word in words.items():
        if name not in known:
            by = f'ASSURED["{name}"]'
            missing = f"migration {name} of an installed package"
            yield from judge(Vouched(by, word, today, missing=missing))


def over_in_settings(today: date) -> Iterator[Finding]:
    """W407 for what ``SAFEMIGRATE["ASSURED"]`` excused until a day that is over."""
    for name, word in _of_settings().items():
        if word.is_over(today):
            yield from (
                finding
                for finding in judge(Vouched(f'ASSURED["{name}"]', word, today))
                if finding.rule == "W407"
            )


def _of_settings() -> Mapping[str, Assurance]:
    try:
        return settings.current().assured
    except WrongSettings:
        return {}  # E302 says so
