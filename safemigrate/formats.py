"""Findings in the languages of CI systems: one function for each, from findings to a text."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from safemigrate.judge import Judged
from safemigrate.rules import registry
from safemigrate.speak import as_check
from safemigrate.version import VERSION

_HOME = "https://pypi.org/project/safemigrate/"


def as_json(found: Sequence[Judged]) -> str:
    """
    One object for each finding.

    Shape: {"version": 1, "findings": [{"rule", "slug", "level", "migration", "path", "line",
    "what", "why", "do"}]}; level is "error" or "warning", path is relative to the working
    directory.
    """
    findings = [
        {
            "rule": one.finding.rule,
            "slug": registry()[one.finding.rule].slug,
            "level": _level(one),
            "migration": one.name,
            "path": _path(one),
            "line": one.line,
            "what": one.finding.what,
            "why": one.finding.why,
            "do": _do(one),
        }
        for one in found
    ]
    return json.dumps({"version": 1, "findings": findings}, indent=2)


def as_github(found: Sequence[Judged]) -> str:
    """
    Annotations of GitHub Actions, a line for each.

    Source: https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
    """
    return "\n".join(
        f"::{_level(one)} {_where(one)}"
        f"title={_escaped(_title(one), ',:')}::{_escaped(_message(one))}"
        for one in found
    )


def _where(one: Judged) -> str:
    return f"file={_escaped(_path(one), ',:')},line={one.line or 1}," if one.path else ""


def _escaped(text: str, more: str = "") -> str:
    for sign in f"%\r\n{more}":
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text


def as_gitlab(found: Sequence[Judged]) -> str:
    """
    A report of GitLab's code quality.

    Source: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
    """
    report = [
        {
            "description": _message(one),
            "check_name": registry()[one.finding.rule].check_id,
            "fingerprint": _fingerprint(one),
            "severity": "major" if one.is_error else "minor",
            "location": {"path": _path(one), "lines": {"begin": one.line or 1}},
        }
        for one in found
    ]
    return json.dumps(report, indent=2)


def as_sarif(found: Sequence[Judged]) -> str:
    """
    SARIF 2.1.0.

    Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
    """
    rules = sorted({one.finding.rule for one in found})
    driver = {
        "name": "safemigrate",
        "version": VERSION,
        "informationUri": _HOME,
        "rules": [_sarif_rule(rule) for rule in rules],
    }
    results = [_sarif_result(one, rules.index(one.finding.rule)) for one in found]
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "results": results}],
        },
        indent=2,
    )


def _sarif_rule(rule: str) -> dict[str, Any]:
    known = registry()[rule]
    return {
        "id": known.check_id,
        "name": known.slug,
        "shortDescription": {"text": known.doc},
        "defaultConfiguration": {"level": "error" if rule.startswith("E") else "warning"},
    }


def _sarif_result(one: Judged, index: int) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": quote(_path(one))}, "region": {"startLine": one.line or 1}}
    return {
        "ruleId": registry()[one.finding.rule].check_id,
        "ruleIndex": index,
        "level": _level(one),
        "message": {"text": _message(one)},
        "partialFingerprints": {"safemigrate/v1": _fingerprint(one)},
        "locations": [{"physicalLocation": place}] if _path(one) else [],
    }


def as_junit(found: Sequence[Judged]) -> str:
    """JUnit's XML: a case for each finding, failed if it is an error."""
    errors = sum(one.is_error for one in found)
    suite = ElementTree.Element(
        "testsuite", name="safemigrate", tests=str(len(found)), failures=str(errors), errors="0"
    )
    for one in found:
        case = ElementTree.SubElement(
            suite, "testcase", classname=one.name or "project", name=_title(one), time="0"
        )
        if one.path:
            case.set("file", _path(one))
            case.set("line", str(one.line or 1))
        if one.is_error:
            failure = ElementTree.SubElement(case, "failure", message=_in_xml(_message(one)))
            failure.text = _in_xml(_do(one))
        else:
            said = f"{_message(one)}\n{_do(one)}"
            ElementTree.SubElement(case, "system-out").text = _in_xml(said)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


# XML 1.0 has no way to write them; a parser refuses the whole report.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _in_xml(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)


def _level(one: Judged) -> str:
    return "error" if one.is_error else "warning"


def _path(one: Judged) -> str:
    return os.path.relpath(one.path).replace(os.sep, "/") if one.path else ""


def _title(one: Judged) -> str:
    known = registry()[one.finding.rule]
    return f"{known.check_id} {known.slug}"


def _message(one: Judged) -> str:
    return f"{one.finding.what} {one.finding.why}"


def _do(one: Judged) -> str:
    """What follows the reason in a check's hint."""
    hint = as_check(one).hint or ""
    return hint.removeprefix(one.finding.why).strip()


def _fingerprint(one: Judged) -> str:
    said = f"{one.name} {one.finding.rule} {one.finding.what}"
    return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()


FORMATS: dict[str, Callable[[Sequence[Judged]], str]] = {
    "json": as_json,
    "github": as_github,
    "gitlab": as_gitlab,
    "sarif": as_sarif,
    "junit": as_junit,
}
