#!/usr/bin/env python
"""The shop's own manage.py. SHOP_RELEASE says which release's code it runs (r1, r2, r3)."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    here = str(Path(__file__).resolve().parent)
    # The repository, not this folder, is what the shop is imported from.
    sys.path[:] = [str(Path(here).parent), *(path for path in sys.path if path != here)]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
