"""Django's own migrations, judged as if they were the project's: nothing of the plan is wrong."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.test import override_settings

from safemigrate import judge

CONTRIB = ("admin", "auth", "contenttypes", "flatpages", "redirects", "sessions", "sites")
OVER_THE_PLAN = {"E151", "E206", "E207", "E208", "W409", "W410"}


@pytest.mark.parametrize("version", [14, 15, 16, 17, 18])
def test_no_rule_over_the_plan_or_of_a_version_finds_anything(monkeypatch, version):
    monkeypatch.setattr(judge, "is_ours", lambda *args: True)
    installed = ["safemigrate", *(f"django.contrib.{name}" for name in CONTRIB)]
    with override_settings(INSTALLED_APPS=installed, SAFEMIGRATE={"SERVER_VERSION": version}):
        found = judge.judgement()
        rules = {one.finding.rule for one in found.findings if one.app_label in CONTRIB}
    apps.clear_cache()
    assert found.migrations >= 20
    assert rules & {*OVER_THE_PLAN, "E123"} == set()
