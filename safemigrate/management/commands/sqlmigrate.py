from django.core.management.commands import sqlmigrate

from safemigrate.management.mixins import SqlMigrateMixin


class Command(SqlMigrateMixin, sqlmigrate.Command):
    """Django's ``sqlmigrate`` with our body on top."""
