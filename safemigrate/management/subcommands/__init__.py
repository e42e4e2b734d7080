"""What ``manage.py safemigrate`` can be asked for, one file each."""

from __future__ import annotations

from safemigrate.management.subcommands import backfills, baseline, fix, lint, status
from safemigrate.management.subcommands.base import Subcommand

SUBCOMMANDS: tuple[Subcommand, ...] = (
    Subcommand("status", status.__doc__ or "", status.add_arguments, status.run),
    Subcommand("lint", lint.__doc__ or "", lint.add_arguments, lint.run),
    Subcommand("fix", fix.__doc__ or "", fix.add_arguments, fix.run),
    Subcommand("backfills", backfills.__doc__ or "", backfills.add_arguments, backfills.run),
    Subcommand("baseline", baseline.__doc__ or "", baseline.add_arguments, baseline.run),
)
"""In the order in which help shows them; a later one is one more line here."""
