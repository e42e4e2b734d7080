"""Write the file that exempts what is there now, so that only new migrations are judged."""

from __future__ import annotations

import difflib
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from safemigrate import baseline
from safemigrate.judge import Judged, judgement
from safemigrate.management.subcommands.base import add_database, connection_of
from safemigrate.speak import text


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--check",
        action="store_true",
        help="Write nothing; exit 1 and show the difference if the file is not up to date.",
    )
    parser.add_argument(
        "--renew",
        action="store_true",
        help="Exempt what is new too; without it a file that is there only shrinks.",
    )
    add_database(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    from safemigrate.judge import judging_connection

    connection = connection_of(options) or judging_connection()
    whole = judgement(connection)
    _refuse_unreadable(whole.findings)
    found: dict[str, list[str]] = {}
    for judged in whole.findings:
        found.setdefault(judged.name, []).append(judged.finding.rule)
    files = baseline.migration_files()
    made = baseline.made_of(files, found, connection.vendor, whole.lasts)
    where = baseline.path()
    if options["check"]:
        _compare(command, where, made)
        return
    refused: dict[str, tuple[str, ...]] = {}
    if where.exists() and not options["renew"]:
        made, refused = _read(where).shrunk(made)
    try:
        baseline.write(where, made)
    except OSError as error:
        raise CommandError(
            f"The baseline {where} cannot be written ({error.strerror}). Nothing was changed. "
            'Give SAFEMIGRATE["BASELINE"] a path in a folder that exists and is yours.'
        ) from error
    exempt = sum(len(entry.rules) for entry in made.entries.values())
    command.stdout.write(
        f"{where}: {len(made.entries)} migrations known, {exempt} findings exempt. "
        "Commit it; from now on every other finding is an error."
    )
    if refused:
        _tell_refused(command, where, refused)


def _tell_refused(command: BaseCommand, where: Any, refused: dict[str, tuple[str, ...]]) -> None:
    """New findings are for their authors to correct, or to vouch for with a reason."""
    for name, rules in sorted(refused.items()):
        command.stdout.write(f"  not taken up: {name} {', '.join(rules)}")
    text = (
        f"{where} only shrinks: what {len(refused)} of the migrations hold is new. `manage.py "
        "safemigrate lint` says what to do, and how to vouch for it. After an upgrade that "
        "brings new rules: `manage.py safemigrate baseline --renew`."
    )
    if any(rule.startswith("E") for rules in refused.values() for rule in rules):
        raise CommandError(text)
    command.stdout.write(text)


def _read(where: Any) -> baseline.Baseline:
    try:
        return baseline.read(where)
    except baseline.BaselineUnreadable as error:
        raise CommandError(
            f"The baseline {where} cannot be read: {error} Nothing was changed. Restore it from "
            "version control, or write it anew: `manage.py safemigrate baseline --renew`."
        ) from error


def _refuse_unreadable(findings: list[Judged]) -> None:
    broken = [judged for judged in findings if judged.finding.rule == "E303"]
    if broken:
        raise CommandError(
            "The baseline was not written, because not everything can be judged.\n\n"
            + "\n\n".join(text(judged) for judged in broken)
        )


def _compare(command: BaseCommand, where: Any, made: baseline.Baseline) -> None:
    there = baseline.text_of(_read(where))
    wanted = baseline.text_of(made)
    if there == wanted:
        command.stdout.write(f"{where} is up to date.")
        return
    lines = difflib.unified_diff(
        there.splitlines(), wanted.splitlines(), "committed", "now", lineterm="", n=0
    )
    for line in lines:
        command.stdout.write(line)
    raise CommandError(f"{where} is not up to date; run `manage.py safemigrate baseline`.")
