from __future__ import annotations

import pytest

from tests.operations.shadowing import Tables


@pytest.fixture
def tables(pg) -> Tables:
    return Tables(pg)
