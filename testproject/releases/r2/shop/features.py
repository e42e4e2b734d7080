"""What sets this release apart. r2: an address is verified or not, and can be searched for."""

SEARCHES_BY_EMAIL = True


def of_new_order(confirmed_at):
    # An order that nobody confirmed yet leaves it to the field's default.
    return {} if confirmed_at is None else {"email_verified": True}


def is_right(order):
    """Say whether an order, by whichever release it was written, reads as this one expects."""
    return order.email_verified is (order.confirmed_at is not None)
