from django.core.management.commands import makemigrations

from safemigrate.management.mixins import MakeMigrationsMixin


class Command(MakeMigrationsMixin, makemigrations.Command):
    """Django's ``makemigrations`` with our body on top."""
