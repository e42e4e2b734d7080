"""What sets this release apart. r1: orders carry a legacy flag, and nobody searches by email."""

SEARCHES_BY_EMAIL = False


def of_new_order(confirmed_at):
    return {}


def is_right(order):
    """Say whether an order, by whichever release it was written, reads as this one expects."""
    return order.legacy_flag is False
