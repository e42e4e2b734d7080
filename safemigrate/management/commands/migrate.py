from django.core.management.commands import migrate

from safemigrate.management.mixins import MigrateMixin


class Command(MigrateMixin, migrate.Command):
    """Django's ``migrate`` with our body on top."""
