from django.core.management.commands import squashmigrations

from safemigrate.management.mixins import SquashMixin


class Command(SquashMixin, squashmigrations.Command):
    """Django's ``squashmigrations`` with our body on top."""
