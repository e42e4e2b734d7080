"""Show every unsafe operation in this project's migrations, with what to do instead."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from safemigrate import baseline
from safemigrate.checks import not_exempt
from safemigrate.judge import Judged, judgement, judging_connection
from safemigrate.management.subcommands.base import add_database, connection_of
from safemigrate.speak import text


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("app_label", nargs="*", help="Only these apps.")
    parser.add_argument(
        "--format",
        choices=("text", "json", "github", "gitlab", "sarif", "junit"),
        default="text",
        help="What is printed: for people, or for a CI system.",
    )
    parser.add_argument("--all", action="store_true", help="Ignore the baseline.")
    add_database(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    """Exits 1 if there are errors, warnings aside."""
    apps = _apps(options["app_label"])
    connection = connection_of(options) or judging_connection()
    whole = judgement(connection, apps=apps)
    found = whole.findings if options["all"] else not_exempt(whole.findings, _baseline())
    if options["format"] != "text":
        _report(command, options["format"], found)
        return
    for judged in found:
        command.stdout.write(text(judged) + "\n\n")
    summary = _summary(found, len(whole.findings) - len(found))
    counts = f"{_count(whole.migrations, 'migration')} judged for {connection.vendor}"
    if whole.third_party:
        counts += f", {whole.third_party} of other packages left alone"
    if any(judged.is_error for judged in found):
        raise CommandError(f"{summary}; {counts}.")
    command.stdout.write(f"{summary}; {counts}.")


def _report(command: BaseCommand, name: str, found: list[Judged]) -> None:
    """Nothing but the report goes to stdout, so that it may be sent to a file."""
    from safemigrate.formats import FORMATS

    command.stdout.write(FORMATS[name](found))
    if any(judged.is_error for judged in found):
        raise CommandError(_summary(found, 0))


def _apps(labels: list[str]) -> set[str] | None:
    from django.apps import apps

    for label in labels:
        try:
            apps.get_app_config(label)
        except LookupError as error:
            raise CommandError(str(error)) from error
    return set(labels) or None


def _baseline() -> baseline.Baseline:
    where = baseline.path()
    try:
        return baseline.read(where)
    except baseline.BaselineUnreadable as error:
        raise CommandError(
            f"The baseline {where} cannot be read: {error} Nothing was judged. Restore it from "
            "version control, or write it anew with `manage.py safemigrate baseline`."
        ) from error


def _summary(found: list[Judged], exempt: int) -> str:
    if not found:
        return "Nothing unsafe" + (f" but {exempt} in the baseline" if exempt else "")
    places = len({judged.name for judged in found})
    aside = f" ({exempt} more in the baseline)" if exempt else ""
    return f"{_count(len(found), 'finding')} in {_count(places, 'migration')}{aside}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
