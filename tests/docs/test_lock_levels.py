"""The page of lock levels says what the facts say, and what Django sends."""

from __future__ import annotations

import copy
import os

import django
import pytest

from tests.docs import lock_levels
from tests.rules.corpus_operations import BREAKING, HARMLESS, SLOW
from tests.rules.server import Server


@pytest.mark.skipif(django.VERSION[:2] != (5, 2), reason="the page is about the oldest Django")
def test_the_page_of_lock_levels_is_up_to_date(pg):
    tables = Server()
    corpus = [*(operation for _, operation in (*SLOW, *BREAKING)), *HARMLESS]
    corpus.sort(key=lambda operation: type(operation).__name__)
    made = lock_levels.page([(one, tables.sent_by(copy.deepcopy(one))) for one in corpus])
    if os.environ.get("WRITE_DOCS"):
        lock_levels.PAGE.write_text(made, encoding="utf-8")
    assert lock_levels.PAGE.read_text(encoding="utf-8") == made
