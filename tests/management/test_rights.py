"""A role that lacks rights, where a deploy script runs migrate and a developer asks for status."""

from __future__ import annotations

import pytest

from tests.management.test_migrate import INITIAL, NEXT, START, refused

OURS = "django_migrations, safemigrate_ledger, django_content_type, shop_order"
DO = "Run this as the role that owns the tables (USER in DATABASES), or GRANT this role"


@pytest.fixture
def shop(project, database_name):
    """r1 is deployed by its owner, r2 written; others of that release come as ``role``."""
    project.models(START)
    project.migration("0001_initial", INITIAL)
    project.deploy("r1")
    project.models(NEXT)
    project.run("makemigrations", "shop")
    project.release = "r2"
    role = f"{database_name}_reader"
    project.sql(f"CREATE ROLE {role}")
    project.environment["PGOPTIONS"] = f"-c role={role}"
    yield project
    project.sql(f"DROP OWNED BY {role}")
    project.sql(f"DROP ROLE {role}")


def role_of(shop) -> str:
    return shop.environment["PGOPTIONS"].partition("=")[2]


def grant(shop, what: str) -> None:
    shop.sql(f"GRANT {what} TO {role_of(shop)}")


READING = [
    ("django_migrations", "migrate"),
    ("django_migrations", "migrate --plan"),
    ("django_migrations", "makemigrations"),
    ("django_migrations", "safemigrate status"),
    ("safemigrate_ledger", "migrate"),
    ("safemigrate_ledger", "safemigrate status"),
    ("django_migrations", "check --deploy --database default"),
    ("safemigrate_ledger", "check --deploy --database default"),
]


@pytest.mark.parametrize(("hidden", "command"), READING)
def test_a_table_that_may_not_be_read_is_named_with_what_to_grant(shop, hidden, command):
    grant(shop, f"SELECT ON {OURS}")
    shop.sql(f"REVOKE SELECT ON {hidden} FROM {role_of(shop)}")
    refused(
        shop.manage(*command.split()),
        "What is applied cannot be read on the database 'default': permission denied for table "
        f"{hidden}. Nothing was changed. {DO} what it lacks",
    )


def test_a_database_that_the_role_may_not_enter_is_no_traceback_of_a_check(shop):
    shop.sql(f"ALTER ROLE {role_of(shop)} LOGIN")
    database, words = shop.address["dbname"], ("check", "--deploy", "--database", "default")
    shop.sql(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
    url = shop.url.replace("postgres@", f"{role_of(shop)}@")
    ran = shop.manage(*words, DATABASE_URL=url, PGOPTIONS="")
    shop.sql(f"GRANT CONNECT ON DATABASE {database} TO PUBLIC")
    refused(
        ran,
        "The database 'default' cannot be asked: ",
        "permission denied for database",
        "Nothing was changed.",
    )


def test_a_ledger_that_may_not_be_written_stops_a_migrate_before_it_begins(shop):
    grant(shop, f"SELECT ON {OURS}")
    refused(
        shop.manage("migrate"),
        "What is applied cannot be recorded on the database 'default': permission denied for",
        "safemigrate_ledger",
        f"Nothing was changed. {DO}",
    )
    assert shop.applied() == ["0001_initial"]


def test_a_table_of_somebody_else_is_named_with_what_was_rolled_back(shop):
    """Django's own answer is a traceback, which says nothing of what is left."""
    grant(shop, f"ALL ON {OURS}")
    grant(shop, "ALL ON ALL SEQUENCES IN SCHEMA public")
    first, *_ = shop.migrations()[1:]
    ran = shop.manage("migrate")
    refused(ran, f"shop.{first} cannot be applied on the database 'default': must be owner of")
    assert DO in ran.err
    assert shop.applied() == ["0001_initial"]
    query = "SELECT error FROM safemigrate_ledger WHERE outcome = 'failed'"
    assert shop.sql(query) == [("ProgrammingError 42501",)]


def test_a_new_database_in_which_the_role_may_make_nothing_is_told_so(project, database_name):
    role = f"{database_name}_guest"
    project.sql(f"CREATE ROLE {role}; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    try:
        refused(
            project.manage("migrate", PGOPTIONS=f"-c role={role}"),
            "What is applied cannot be recorded on the database 'default': permission denied for "
            f"schema public. Nothing was changed. {DO}",
        )
    finally:
        project.sql(f"DROP ROLE {role}")


def test_backfills_that_may_not_be_read_are_no_server_that_is_down(shop):
    shop.run("migrate", PGOPTIONS="")
    refused(
        shop.manage("safemigrate", "backfills"),
        "The database 'default' cannot be asked: permission denied for table safemigrate_backfill",
        ". Nothing was changed. GRANT this role what it lacks.",
    )


AUDIT = "\nclass Audit(models.Model):\n    what = models.TextField()\n"


@pytest.mark.parametrize("denied", ["django_content_type", "auth_permission"])
def test_what_comes_after_migrate_is_named_with_the_table_it_may_not_write(shop, denied):
    """Content types and permissions are written after the last migration, in whatever role."""
    shop.setting('INSTALLED_APPS += ["django.contrib.auth"]')
    shop.models(START)
    for name in shop.migrations()[1:]:
        (shop.folder / f"shop/migrations/{name}.py").unlink()
    shop.run("migrate", PGOPTIONS="")
    shop.models(START + AUDIT)
    shop.run("makemigrations", "shop", PGOPTIONS="")
    grant(shop, "ALL ON ALL TABLES IN SCHEMA public")
    grant(shop, "ALL ON ALL SEQUENCES IN SCHEMA public")
    grant(shop, "CREATE ON SCHEMA public")
    shop.sql(f"REVOKE INSERT ON {denied} FROM {role_of(shop)}")
    told = (
        "What comes after migrate (post_migrate: content types, permissions) cannot be done on the "
        f"database 'default': permission denied for table {denied}. What was applied stays "
        f"applied. {DO} what it lacks; then run it again."
    )
    for _ in range(2):
        refused(shop.manage("migrate"), told)
    assert len(shop.applied()) == 2
    grant(shop, f"INSERT ON {denied}")
    shop.run("migrate")
    assert shop.sql("SELECT 1 FROM auth_permission WHERE codename = 'add_audit'") == [(1,)]
