"""E301."""

from __future__ import annotations

from collections.abc import Iterator

from safemigrate.rules.base import Commands, Finding, rule

_MIXINS = {
    "makemigrations": "MakeMigrationsMixin",
    "migrate": "MigrateMixin",
    "squashmigrations": "SquashMixin",
}


@rule("E301", "shadowed-commands", about=Commands)
def shadowed_commands(commands: Commands) -> Iterator[Finding]:
    """Another app's command hides ours, so nothing is held back or rewritten."""
    for command in commands.without_ours:
        app = commands.app_of[command]
        mixin = _MIXINS[command]
        yield Finding(
            what=f"The command {command} comes from {app[:32]}, not from safemigrate.",
            why=(
                f"{app} stands before safemigrate in INSTALLED_APPS and has a {command} of its "
                "own: contracts are not held back, tables are locked while others wait in the "
                "queue, and changes are written the unsafe way."
            ),
            steps=(
                f'Move "safemigrate" before "{app}" in INSTALLED_APPS.',
                "If you need both, write the command in an app that stands first, with "
                f"{mixin} of safemigrate.management.mixins on top of theirs:",
                f"class Command({mixin}, Their): pass",
            ),
        )
