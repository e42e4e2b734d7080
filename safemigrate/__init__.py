"""Schema changes under load: makemigrations and migrate by expand, backfill and contract."""

from safemigrate.version import VERSION

__version__ = VERSION
