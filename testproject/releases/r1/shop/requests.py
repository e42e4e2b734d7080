"""
What visitors ask of the shop: each function is one request, in this release's code.

Each returns whether what it read, or read back after writing, was right.
"""

from django.db import transaction
from django.db.models import Count, Sum
from shop import features
from shop.models import Line, Order


def read_order(pk):
    return features.is_right(Order.objects.get(pk=pk))


def read_latest(count=5):
    return all(features.is_right(order) for order in Order.objects.order_by("-pk")[:count])


def sum_of_customer(customer_id):
    orders = Order.objects.filter(customer_id=customer_id)
    sums = orders.aggregate(orders=Count("pk"), amount=Sum("amount"))
    return (sums["orders"] > 0) == (sums["amount"] is not None)


def find_by_email(email):
    return all(
        order.email == email and features.is_right(order)
        for order in Order.objects.filter(email=email)[:50]
    )


def place_order(customer_id, email, amount, confirmed_at):
    """Return the new order and whether it was read back as it was written."""
    with transaction.atomic():
        order = Order.objects.create(
            customer_id=customer_id,
            email=email,
            amount=amount,
            confirmed_at=confirmed_at,
            **features.of_new_order(confirmed_at),
        )
        Line.objects.create(order=order, product="Book", quantity=1)
    found = Order.objects.get(pk=order.pk)
    same = (found.email, found.amount, found.confirmed_at) == (email, amount, confirmed_at)
    return order.pk, same and features.is_right(found)


def change_amount(pk, amount):
    changed = Order.objects.filter(pk=pk).update(amount=amount)
    return changed == 1 and Order.objects.values_list("amount", flat=True).get(pk=pk) == amount


def correct_email(pk, email):
    order = Order.objects.get(pk=pk)
    right_before = features.is_right(order)
    order.email = email
    order.save()
    found = Order.objects.get(pk=pk)
    return right_before and found.email == email and features.is_right(found)


def cancel_order(pk):
    Order.objects.get(pk=pk).delete()
    return not Order.objects.filter(pk=pk).exists()
