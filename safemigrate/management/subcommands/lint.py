"""Show every unsafe operation in this project's migrations, with what to do instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from rich.table import Table
from rich.text import Text

from safemigrate import baseline
from safemigrate.checks import not_exempt
from safemigrate.facts import settings
from safemigrate.facts.errors import NoSuchPast, WrongSettings, sentence
from safemigrate.judge import Judged, Judgement, judgement, judging_connection
from safemigrate.management.subcommands.base import add_database, connection_of
from safemigrate.management.terminal import Terminal
from safemigrate.past import changed_since
from safemigrate.rules import registry
from safemigrate.since import judgement_since, named, unapplied
from safemigrate.speak import WIDTH, colour_of, told

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

NOT_JUDGED = 2
"""The exit code if nothing was judged; 1 is that of errors."""
_UNREADABLE = "E303"  # what could not be judged is in every choice
_FURTHER = (
    "safemigrate lint --explain ID prints the page of a rule; safemigrate fix APP MIGRATION "
    "rewrites what is not applied yet."
)


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="APP[.MIGRATION]", help="Only these apps and migrations."
    )
    parser.add_argument(
        "--app",
        action="append",
        default=[],
        metavar="LABEL",
        help="Only this app; may be given twice.",
    )
    parser.add_argument(
        "--since",
        metavar="REF",
        help="Only what differs from where this branch left REF: changed migrations, and findings "
        "elsewhere that come with them.",
    )
    parser.add_argument(
        "--unapplied", action="store_true", help="Only what the database has not seen; asks it."
    )
    parser.add_argument(
        "--format",
        choices=("text", "json", "github", "gitlab", "sarif", "junit"),
        default="text",
        help="What is printed: for people, or for a CI system.",
    )
    parser.add_argument("--all", action="store_true", help="Ignore the baseline.")
    parser.add_argument(
        "--explain", metavar="ID", help="Print the page of a rule, and nothing else."
    )
    add_database(parser)


@dataclass(frozen=True)
class _Scope:
    """``apps`` and ``only`` are joined by or; None for both: everything."""

    apps: Collection[str]
    only: Collection[str]

    def holds(self, one: Judged) -> bool:
        if one.finding.rule == _UNREADABLE or not (self.apps or self.only):
            return True
        return one.app_label in self.apps or one.name in self.only


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """Exits 0 without errors, warnings aside; 1 with some; 2 if nothing was judged."""
    if options["explain"] is not None:
        _explain(command, options["explain"])
        return
    _refuse_wrong_settings()
    scope = _scope([*options["names"], *options["app"]])
    connection = connection_of(options) or judging_connection()
    known = baseline.Baseline() if options["all"] else _baseline()
    whole, notes, before = _judged(options, connection)
    inside = [one for one in whole.findings if scope.holds(one)]
    found = not_exempt(inside, known)
    if before is not None and not options["all"]:
        # A change may not exempt itself: what counts is what was exempt before it, too.
        now_and_then = {id(one) for one in [*found, *not_exempt(inside, before)]}
        if len(now_and_then) > len(found):
            notes += _GROWN
        found = [one for one in inside if id(one) in now_and_then]
    if notes:
        command.stderr.write(notes)
    if options["format"] != "text":
        _report(command, options["format"], found)
        return
    terminal = Terminal(command, options)
    _tell(terminal, found)
    if _may_begin(options, found):
        terminal.show(Text(f"{baseline.HOW_TO_BEGIN}\n"))
    summary = _summary(found, len(inside) - len(found))
    counts = f"{_count(whole.migrations, 'migration')} judged for {connection.vendor}"
    if whole.third_party:
        counts += f", {whole.third_party} of other packages left alone"
    if any(judged.is_error for judged in found):
        raise CommandError(f"{summary}; {counts}.")
    terminal.show(Text(f"{summary}; {counts}.", "yellow" if found else "green"))


def _refuse_wrong_settings() -> None:
    """They say which server, which baseline and which words count; others would be guessed."""
    try:
        settings.current()
    except WrongSettings as error:
        raise CommandError(f"{error} Nothing was judged.", returncode=NOT_JUDGED) from error


def _tell(terminal: Terminal, found: Sequence[Judged]) -> None:
    """Each finding whole; at the end, where the eye is, how many there are of which rule."""
    for judged in found:
        terminal.show(told(judged, min(terminal.width or WIDTH, WIDTH)))
        terminal.show(Text())
    if len(found) > 1:
        terminal.show(_by_rule(found))
        terminal.show(Text(f"\n{_FURTHER}\n"))


def _may_begin(options: dict[str, Any], found: Sequence[Judged]) -> bool:
    """Whether a first baseline would take what was found: not what is new, or cannot be read."""
    fresh = options["all"] or options["unapplied"] or options["since"] is not None
    if fresh or baseline.path().exists() or any(one.finding.rule == _UNREADABLE for one in found):
        return False
    return any(one.is_error for one in found)


def _by_rule(found: Sequence[Judged]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right")
    table.add_column(no_wrap=True)
    table.add_column()
    for id, count in sorted(Counter(judged.finding.rule for judged in found).items()):
        rule = registry()[id]
        table.add_row(str(count), Text(f"{rule.id} {rule.slug}", colour_of(rule)), rule.doc)
    return table


_GROWN = (
    "The baseline exempts more than it did at --since: what it gained is judged all the same. "
    "Vouch for it with a reason instead (Assured), or renew the baseline in a change of its own."
)


def _judged(
    options: dict[str, Any], connection: BaseDatabaseWrapper
) -> tuple[Judgement, str, baseline.Baseline | None]:
    """Shape: also what to say beside it, and what was exempt before."""
    waiting = _unapplied(connection) if options["unapplied"] else None
    if options["since"] is None:
        return judgement(connection, only=waiting, fresh=waiting or ()), "", None
    try:
        changed = changed_since(options["since"])
    except NoSuchPast as error:
        raise CommandError(str(error), returncode=NOT_JUDGED) from error
    whole, note = judgement_since(changed, connection)
    note = f"{note}; so the whole project is judged.\n" if note else ""
    if waiting is not None:
        inside = _Scope((), waiting or {""})
        whole.findings = [one for one in whole.findings if inside.holds(one)]
    return whole, note, changed.baseline


def _unapplied(connection: BaseDatabaseWrapper) -> set[str]:
    try:
        return unapplied(connection)
    except DatabaseError as error:
        raise CommandError(
            f"The database {connection.alias!r} cannot be asked what is applied: {sentence(error)} "
            "Nothing was judged. Leave out --unapplied, or name one with --database.",
            returncode=NOT_JUDGED,
        ) from error


def _explain(command: BaseCommand, id: str) -> None:
    from safemigrate.speak import page_of

    wanted = id.removeprefix("safemigrate.")
    for rule in registry().values():
        if wanted.upper() == rule.id or wanted.lower() == rule.slug:
            command.stdout.write(page_of(rule))
            return
    raise CommandError(
        f"There is no rule {id!r}; there are {', '.join(registry())}.", returncode=NOT_JUDGED
    )


def _report(command: BaseCommand, name: str, found: list[Judged]) -> None:
    """Nothing but the report goes to stdout, so that it may be sent to a file."""
    from safemigrate.formats import FORMATS

    command.stdout.write(FORMATS[name](found))
    if any(judged.is_error for judged in found):
        raise CommandError(_summary(found, 0))


def _scope(words: list[str]) -> _Scope:
    from django.apps import apps

    try:
        labels = {apps.get_app_config(word).label for word in words if "." not in word}
        return _Scope(labels, named([word for word in words if "." in word]))
    except LookupError as error:
        raise CommandError(str(error.args[0]), returncode=NOT_JUDGED) from error


def _baseline() -> baseline.Baseline:
    where = baseline.path()
    try:
        return baseline.read(where)
    except baseline.BaselineUnreadable as error:
        raise CommandError(
            f"The baseline {where} cannot be read: {error} Nothing was judged. Restore it from "
            "version control, or write it anew with `manage.py safemigrate baseline --renew`.",
            returncode=NOT_JUDGED,
        ) from error


def _summary(found: list[Judged], exempt: int) -> str:
    if not found:
        return "Nothing unsafe" + (f" but {exempt} in the baseline" if exempt else "")
    places = len({judged.name for judged in found})
    errors = sum(judged.is_error for judged in found)
    some = f", {_count(errors, 'error')} among them"
    kinds = {0: ", warnings only", len(found): ""}.get(errors, some)
    aside = f" ({exempt} more in the baseline)" if exempt else ""
    return f"{_count(len(found), 'finding')} in {_count(places, 'migration')}{kinds}{aside}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
