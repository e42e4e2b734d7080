from django.core.management.commands import optimizemigration

from safemigrate.management.mixins import WriterMixin


class Command(WriterMixin, optimizemigration.Command):
    """Django's ``optimizemigration`` with our body on top."""
