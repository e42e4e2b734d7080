"""The process that tests kill: ``python -m tests.backfill.killed SOCKET_DIR [WORKERS]``."""

import sys
from dataclasses import replace

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
    from tests.backfill.shared import quick_leases
    from tests.backfill.test_trouble import KILLED_WORK

    quick_leases()
    workers = int(sys.argv[2]) if sys.argv[2:] else None
    run(connection, replace(KILLED_WORK, workers=workers), key="k")
