"""Queries that functions of RunPython send without a bound, and what the rules say: no test."""

# ruff: noqa: N803, C417, F841  this is what people write

from __future__ import annotations

from functools import wraps

from django.db import transaction


def update_(apps, editor):
    Order = apps.get_model("shop", "Order")
    Order.objects.using(editor.connection.alias).update(total=1)


def all_delete_(apps, editor):
    apps.get_model("shop.Order").objects.using(editor.connection.alias).all().delete()


def filter_update_(apps, editor):
    apps.get_model("shop", "Order").objects.using(editor.connection.alias).filter(
        total=None
    ).update(total=1)


def loop_save_(apps, editor):
    for o in apps.get_model("shop", "Order").objects.using(editor.connection.alias).all():
        o.total = 1
        o.save()


def loop_iter_(apps, editor):
    M = apps.get_model("shop", "Order")
    for o in M.objects.using(editor.connection.alias).iterator(chunk_size=100):
        o.delete()


def helper(M, alias):
    M.objects.using(alias).update(total=1)


def helper_(apps, editor):
    helper(apps.get_model("shop", "Order"), editor.connection.alias)


def helper2_(apps, editor):

    def inner(model):
        model.objects.using(editor.connection.alias).all().delete()

    inner(apps.get_model("shop", "Order"))


def deco(f):

    @wraps(f)
    def w(apps, editor):
        return f(apps, editor)

    return w


def deco_nowraps(f):

    def w(apps, editor):
        return f(apps, editor)

    return w


@deco
def deco_(apps, editor):
    apps.get_model("shop", "Order").objects.using(editor.connection.alias).all().delete()


@deco_nowraps
def deco_nowraps_(apps, editor):
    apps.get_model("shop", "Order").objects.using(editor.connection.alias).all().delete()


@transaction.atomic
def atomic_(apps, editor):
    apps.get_model("shop", "Order").objects.using(editor.connection.alias).all().delete()


def bulk_update_(apps, editor):
    M = apps.get_model("shop", "Order").objects.using(editor.connection.alias)
    os = list(M.all())
    for o in os:
        o.total = 1
    M.bulk_update(os, ["total"])


def bulk_create_(apps, editor):
    M = apps.get_model("shop", "Order")
    S = apps.get_model("shop", "Shop")
    S.objects.using(editor.connection.alias).bulk_create(
        [S(name=o.number) for o in M.objects.using(editor.connection.alias).all()]
    )


def import_module_(apps, editor):
    import importlib

    m = importlib.import_module("django.contrib.auth.models")
    m.User.objects.using(editor.connection.alias).all().delete()


def get_user_model_(apps, editor):
    from django.contrib.auth import get_user_model

    get_user_model().objects.using(editor.connection.alias).all().delete()


def apps_global_(apps, editor):
    from django.apps import apps as real

    real.get_model("shop", "Order").objects.using(editor.connection.alias).all().delete()


def manager_attr_(apps, editor):
    M = apps.get_model("shop", "Order")
    M._default_manager.using(editor.connection.alias).update(total=1)


def base_manager_(apps, editor):
    apps.get_model("shop", "Order")._base_manager.using(editor.connection.alias).all().delete()


def related_(apps, editor):
    for c in apps.get_model("shop", "Customer").objects.using(editor.connection.alias).all():
        c.order_set.update(total=1)


def related2_(apps, editor):
    for c in apps.get_model("shop", "Customer").objects.using(editor.connection.alias).all():
        c.order_set.all().delete()


def m2m_(apps, editor):
    for o in apps.get_model("shop", "Order").objects.using(editor.connection.alias).all():
        o.tags.add(1)


def qs_var_(apps, editor):
    qs = apps.get_model("shop", "Order").objects.using(editor.connection.alias)
    qs = qs.filter(total__isnull=True)
    qs = qs.order_by("pk")
    qs.update(total=1)


def while_(apps, editor):
    M = apps.get_model("shop", "Order").objects.using(editor.connection.alias)
    while M.filter(total=None).exists():
        M.filter(pk__in=M.filter(total=None).values("pk")[:1000]).update(total=1)


def listcomp_(apps, editor):
    M = apps.get_model("shop", "Order").objects.using(editor.connection.alias)
    [o.save() for o in M.all()]


def map_(apps, editor):
    M = apps.get_model("shop", "Order").objects.using(editor.connection.alias)
    list(map(lambda o: o.save(), M.all()))


def loop_helper_(apps, editor):
    for o in apps.get_model("shop", "Order").objects.using(editor.connection.alias).all():
        save_it(o)


def save_it(o):
    o.total = 1
    o.save()


def values_loop_(apps, editor):
    M = apps.get_model("shop", "Order").objects.using(editor.connection.alias)
    for pk in M.values_list("pk", flat=True):
        M.filter(pk=pk).update(total=1)


def get_models_(apps, editor):
    for M in apps.get_models():
        M.objects.using(editor.connection.alias).update(x=1)


def two_(apps, editor):
    A, B = (apps.get_model("shop", "Order"), apps.get_model("shop", "Shop"))
    A.objects.using(editor.connection.alias).all().delete()


def walrus_(apps, editor):
    (M := apps.get_model("shop", "Order")).objects.using(editor.connection.alias).update(total=1)


def ternary_(apps, editor):
    M = apps.get_model("shop", "Order") if True else None
    M.objects.using(editor.connection.alias).update(total=1)


def dict_(apps, editor):
    ms = {"o": apps.get_model("shop", "Order")}
    ms["o"].objects.using(editor.connection.alias).update(total=1)


def aliasfn_(apps, editor):
    g = apps.get_model
    g("shop", "Order").objects.using(editor.connection.alias).update(total=1)


def get_or_create_(apps, editor):
    M = apps.get_model("shop", "Order")
    S = apps.get_model("shop", "Shop")
    for o in M.objects.using(editor.connection.alias).all():
        S.objects.using(editor.connection.alias).get_or_create(name=o.number)


def update_or_create_(apps, editor):
    M = apps.get_model("shop", "Order")
    for o in M.objects.using(editor.connection.alias).all():
        M.objects.using(editor.connection.alias).update_or_create(pk=o.pk, defaults={"total": 1})


def select_for_update_(apps, editor):
    M = apps.get_model("shop", "Order")
    list(M.objects.using(editor.connection.alias).select_for_update())


def async_(apps, editor):
    import asyncio

    asyncio.run(work(apps))


async def work(apps):
    await apps.get_model("shop", "Order").objects.aupdate(total=1)


DANGEROUS = {
    "E161": (
        update_,
        all_delete_,
        filter_update_,
        loop_save_,
        loop_iter_,
        helper_,
        helper2_,
        deco_,
        deco_nowraps_,
        atomic_,
        bulk_update_,
        bulk_create_,
        apps_global_,
        manager_attr_,
        base_manager_,
        related_,
        related2_,
        m2m_,
        qs_var_,
        while_,
        listcomp_,
        map_,
        loop_helper_,
        values_loop_,
        get_models_,
        two_,
        walrus_,
        ternary_,
        dict_,
        aliasfn_,
        get_or_create_,
        update_or_create_,
        select_for_update_,
        import_module_,
    ),
    "E161 E162": (get_user_model_,),
    "E161 W404": (async_,),
}
