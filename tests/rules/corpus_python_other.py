"""Other things that functions of RunPython do, and what is harmless: no test."""

# ruff: noqa: UP031, B009  this is what people write

from __future__ import annotations

from functools import partial

from django.db import connection, connections


def base(field, apps, editor):
    apps.get_model("shop", "Order").objects.using(editor.connection.alias).update(**{field: 1})


partial_ = partial(base, "total")


class K:
    def m(self, apps, editor):
        apps.get_model("shop", "Order").objects.using(editor.connection.alias).all().delete()

    @staticmethod
    def s(apps, editor):
        apps.get_model("shop", "Order").objects.using(editor.connection.alias).all().delete()

    @classmethod
    def c(cls, apps, editor):
        apps.get_model("shop", "Order").objects.using(editor.connection.alias).all().delete()

    def __call__(self, apps, editor):
        apps.get_model("shop", "Order").objects.using(editor.connection.alias).all().delete()


method_ = K().m


static_ = K.s


class_ = K.c


callable_ = K()


def raw_(apps, editor):
    editor.execute("UPDATE shop_order SET total = 1")


def raw_drop_(apps, editor):
    editor.execute("DROP TABLE shop_order")


def cursor_(apps, editor):
    with editor.connection.cursor() as c:
        c.execute("DELETE FROM shop_order")


def cursor2_(apps, editor):
    c = editor.connection.cursor()
    sql = "ALTER TABLE shop_order ALTER total TYPE bigint"
    c.execute(sql)


def conn_(apps, editor):
    with connection.cursor() as c:
        c.execute("DELETE FROM shop_order")


def conns_(apps, editor):
    connections["default"].cursor().execute("TRUNCATE shop_order")


def fsql_(apps, editor):
    t = apps.get_model("shop", "Order")._meta.db_table
    editor.execute(f"DELETE FROM {t}")


def fmt_(apps, editor):
    editor.execute("DELETE FROM %s" % "shop_order")


def se_add_field_(apps, editor):
    from django.db import models

    M = apps.get_model("shop", "Order")
    f = models.IntegerField()
    f.set_attributes_from_name("x")
    editor.add_field(M, f)


def se_alter_(apps, editor):
    editor.delete_model(apps.get_model("shop", "Order"))


def real_(apps, editor):
    from django.contrib.auth.models import User

    User.objects.using(editor.connection.alias).filter(pk=1).update(is_active=True)


def noalias_(apps, editor):
    apps.get_model("shop", "Order").objects.filter(pk=1).update(total=1)


def net_(apps, editor):
    import requests

    requests.get("http://x")


def net2_(apps, editor):
    import urllib.request

    urllib.request.urlopen("http://x")


def net3_(apps, editor):
    import smtplib

    smtplib.SMTP("x")


def mail_(apps, editor):
    from django.core.mail import send_mail

    send_mail("a", "b", "c", ["d"])


def boto_(apps, editor):
    import boto3

    boto3.client("s3").list_buckets()


def httpx_(apps, editor):
    import httpx

    with httpx.Client() as c:
        c.get("x")


def sub_(apps, editor):
    import subprocess

    subprocess.run(["x"])


def call_command_(apps, editor):
    from django.core.management import call_command

    call_command("loaddata", "x")


def exec_(apps, editor):
    exec("x")


def raw_qs_(apps, editor):
    list(
        apps.get_model("shop", "Order")
        .objects.using(editor.connection.alias)
        .raw("DELETE FROM shop_order RETURNING *")
    )


def fetched_(apps, editor):
    getattr(apps.get_model("shop", "Order").objects.using(editor.connection.alias), "update")(
        total=1
    )


def fetched_later_(apps, editor):
    rows = getattr(apps.get_model("shop", "Order"), "objects").using(editor.connection.alias)
    getattr(rows.all(), "delete", None)()


def bound_(apps, editor):
    change = apps.get_model("shop", "Order").objects.using(editor.connection.alias).update
    change(total=1)


def fetched_by_variable_(apps, editor):
    rows = apps.get_model("shop", "Order").objects.using(editor.connection.alias)
    getattr(rows, editor.method)(total=1)


def no_triggers_(apps, editor):
    editor.execute("SET LOCAL session_replication_role = replica")
    few_pk(apps, editor)


def series_(apps, editor):
    with editor.connection.cursor() as c:
        c.execute("INSERT INTO shop_shop (id) SELECT generate_series(1, %s)" % "100000000")
        c.execute("INSERT INTO shop_shop (id) SELECT generate_series(1, 100000000)")


def few_fetched(apps, editor):
    order = apps.get_model("shop", "Order").objects.using(editor.connection.alias).get(pk=1)
    print(getattr(order, "total", None), getattr(order, editor.name))
    rows = apps.get_model("shop", "Order").objects.using(editor.connection.alias)
    getattr(rows.filter(pk=1), "update")(total=1)
    upper = getattr(str, "upper")
    upper("x")


def few_between(apps, editor):
    with editor.connection.cursor() as c:
        c.execute("UPDATE shop_order SET total = 1 WHERE id >= %s AND id < %s", [1, 2])
        c.execute("UPDATE shop_order SET total = 1 WHERE id BETWEEN %s AND %s", [1, 2])


def few_none(apps, editor):
    pass


def few_pk(apps, editor):
    apps.get_model("shop", "Order").objects.using(editor.connection.alias).filter(pk=1).update(
        total=1
    )


def few_create(apps, editor):
    apps.get_model("shop", "Shop").objects.using(editor.connection.alias).create(name="x")


def few_goc(apps, editor):
    apps.get_model("shop", "Shop").objects.using(editor.connection.alias).get_or_create(name="x")


def few_bulk(apps, editor):
    S = apps.get_model("shop", "Shop")
    S.objects.using(editor.connection.alias).bulk_create([S(name="a"), S(name="b")])


def few_small(apps, editor):
    apps.get_model("auth", "Permission").objects.using(editor.connection.alias).filter(
        codename="x"
    ).delete()


def few_ct(apps, editor):
    apps.get_model("contenttypes", "ContentType").objects.using(editor.connection.alias).filter(
        app_label="x"
    ).update(app_label="y")


def few_vendor(apps, editor):
    if editor.connection.vendor != "postgresql":
        return
    editor.execute("CREATE EXTENSION IF NOT EXISTS citext")


def few_print(apps, editor):
    print(
        "x",
        apps.get_model("shop", "Order")
        .objects.using(editor.connection.alias)
        .filter(total=1)
        .count(),
    )


def few_dict_update(apps, editor):
    d = {}
    d.update(a=1)


def few_get_save(apps, editor):
    o = apps.get_model("shop", "Order").objects.using(editor.connection.alias).get(pk=1)
    o.total = 1
    o.save()


def few_loop_consts(apps, editor):
    S = apps.get_model("shop", "Shop")
    for n in ("a", "b"):
        S.objects.using(editor.connection.alias).create(name=n)


def few_raw_by_key(apps, editor):
    editor.execute("UPDATE shop_order SET total = 1 WHERE id = 5")


def few_first(apps, editor):
    o = (
        apps.get_model("shop", "Order")
        .objects.using(editor.connection.alias)
        .filter(total=1)
        .first()
    )
    if o:
        o.delete()


def few_in(apps, editor):
    apps.get_model("shop", "Order").objects.using(editor.connection.alias).filter(
        pk__in=[1, 2]
    ).delete()


def few_db_manager(apps, editor):
    apps.get_model("shop", "Shop").objects.db_manager(editor.connection.alias).create(name="x")


def few_alias_var(apps, editor):
    db = editor.connection.alias
    apps.get_model("shop", "Shop").objects.using(db).create(name="x")


DANGEROUS = {
    "E161": (static_, fetched_, fetched_later_, bound_),
    "E162": (real_,),
    "E163": (
        partial_,
        method_,
        class_,
        callable_,
        call_command_,
        exec_,
        fetched_by_variable_,
    ),
    "E164": (
        raw_,
        raw_drop_,
        cursor_,
        cursor2_,
        conn_,
        conns_,
        fsql_,
        fmt_,
        se_add_field_,
        se_alter_,
        raw_qs_,
        no_triggers_,
        series_,
    ),
    "W404": (noalias_,),
    "W405": (
        net_,
        net2_,
        net3_,
        mail_,
        boto_,
        httpx_,
        sub_,
    ),
}
HARMLESS = (
    few_fetched,
    few_between,
    few_none,
    few_pk,
    few_create,
    few_goc,
    few_bulk,
    few_small,
    few_ct,
    few_vendor,
    few_print,
    few_dict_update,
    few_get_save,
    few_loop_consts,
    few_raw_by_key,
    few_first,
    few_in,
    few_db_manager,
    few_alias_var,
)
