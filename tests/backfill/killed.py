"""The process that test_trouble kills: ``python -m tests.backfill.killed SOCKET_DIR``."""

import sys

if __name__ == "__main__":
    import django
    from django.conf import settings

    server = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": sys.argv[1],
    }
    settings.configure(DATABASES={"default": server}, INSTALLED_APPS=[], USE_TZ=True)
    django.setup()

    from django.db import connection

    from safemigrate.backfill import run
    from tests.backfill.test_trouble import KILLED_WORK

    run(connection, KILLED_WORK, key="k")
