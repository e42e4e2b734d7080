from django.core.management.commands import squashmigrations

from safemigrate.management.mixins import WriterMixin


class Command(WriterMixin, squashmigrations.Command):
    """Django's ``squashmigrations`` with our body on top."""
