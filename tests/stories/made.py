"""Values for fields, each made of a number: another number makes another value."""

from __future__ import annotations

import string
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Field

SMALL = 30_000  # fits every integer type
Limit = Callable[[Any, str], Any]


def made_of(f: Field[Any, Any], n: int, limit: Limit) -> Any:
    for kind, make in MADE:
        if isinstance(f, kind):
            return make(f, n)
    if isinstance(f, models.DecimalField):
        # A whole number: it has no places that another scale would lose.
        digits = min(5, f.max_digits - f.decimal_places, limit(f, "digits") or 5)
        return Decimal(n % 10**digits)
    length = min(f.max_length or 9, limit(f, "max_length") or 9)
    return _text(n)[-length:] + ("@e.org" if isinstance(f, models.EmailField) else "")


def _text(n: int) -> str:
    digits = string.digits + string.ascii_lowercase
    text = ""
    while n:
        n, digit = divmod(n, 36)
        text = digits[digit] + text
    return text or "0"


MADE: list[tuple[Any, Any]] = [
    (models.BooleanField, lambda f, n: bool(n % 2)),
    (models.DurationField, lambda f, n: timedelta(seconds=n)),
    (models.IntegerField, lambda f, n: n % SMALL),
    (models.FloatField, lambda f, n: float(n)),
    (models.DateTimeField, lambda f, n: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=n)),
    (models.DateField, lambda f, n: date(2000, 1, 1) + timedelta(days=n % SMALL)),
    (models.TimeField, lambda f, n: time(n % 24, n % 60, n // 60 % 60)),
    (models.UUIDField, lambda f, n: UUID(int=n + 1)),
    (models.JSONField, lambda f, n: {"n": n}),
    (models.BinaryField, lambda f, n: str(n).encode()),
    (models.GenericIPAddressField, lambda f, n: f"10.0.{n // 250 % 250}.{n % 250}"),
    (models.URLField, lambda f, n: f"http://e.org/{n}"),
]
