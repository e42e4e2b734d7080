"""``safemigrate lint --format``: what each CI system reads."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from django.core.management import CommandError, call_command

from safemigrate.formats import as_sarif
from safemigrate.judge import Judged
from safemigrate.places import line_of
from safemigrate.rules import Finding
from safemigrate.testing import assert_migrations_are_safe

INDEX = 'migrations.AddIndex("order", models.Index(fields=["total"], name="i")),'


def report(project, name: str) -> str:
    project.migration("0002_index", INDEX + 'migrations.RunSQL("SELECT 1"),')
    out = io.StringIO()
    with pytest.raises(CommandError, match="2 findings in 1 migration"):
        call_command("safemigrate", "lint", "--format", name, stdout=out)
    return out.getvalue()


HERE = Path(__file__).resolve().parent


def valid(text: str, schema: Path) -> dict:
    """The document, which must be as the schema says."""
    document = json.loads(text)
    rules = json.loads(schema.read_text())
    jsonschema.Draft202012Validator.check_schema(rules)
    jsonschema.Draft202012Validator(
        rules, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(document)
    return document


def everything(project) -> None:
    """Findings of each kind: with code, with steps, of a file, of no file, with odd signs."""
    odd = "SELEC <&> 50% é :: \n \x01\x1b ]]> \ud800 \uffff"
    project.migration("0002_index", f"{INDEX} migrations.RunSQL({odd!r}),")
    project.migration("0002_other", 'migrations.RemoveField("order", "flag"),')


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("sarif", HERE / "sarif.schema.json"),
        ("json", HERE.parent.parent / "docs/findings.schema.json"),
    ],
)
def test_the_report_is_as_its_schema_says(project, name, schema):
    everything(project)
    for options in ((), ("contenttypes",)):
        out = io.StringIO()
        with pytest.raises(CommandError):  # two last migrations are in every choice
            call_command("safemigrate", "lint", *options, "--all", "--format", name, stdout=out)
        assert valid(out.getvalue(), schema)


def test_json_has_the_rule_the_file_and_what_to_do(project):
    error, warning = json.loads(report(project, "json"))["findings"]
    assert (error["rule"], error["level"]) == ("E101", "error")
    assert (warning["rule"], warning["level"]) == ("W403", "warning")
    assert error["path"].endswith("migrations/0002_index.py")
    assert "AddIndexConcurrently" in error["do"]


def test_an_annotation_is_one_line_with_nothing_that_ends_it(project):
    error, warning = report(project, "github").strip().splitlines()
    assert error.startswith("::error file=")
    assert "title=safemigrate.E101 plain-index::AddIndex builds i" in error
    assert warning.startswith("::warning ")


def test_gitlab_knows_a_finding_again(project):
    first, second = json.loads(report(project, "gitlab")), json.loads(report(project, "gitlab"))
    assert [one["fingerprint"] for one in first] == [one["fingerprint"] for one in second]
    assert [one["severity"] for one in first] == ["major", "minor"]


def test_sarif_names_each_rule_once_and_points_at_it(project):
    sarif = json.loads(report(project, "sarif"))
    (run,) = sarif["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert sarif["version"] == "2.1.0"
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]


def test_every_report_can_be_read_whatever_signs_are_in_it(project):
    """Those that XML cannot hold, too: one of them would lose the whole report."""
    everything(project)

    def said(name: str) -> str:
        out = io.StringIO()
        with pytest.raises(CommandError):
            call_command("safemigrate", "lint", "--format", name, stdout=out)
        return out.getvalue()

    for line in said("github").strip().split("\n"):
        assert line.startswith(("::error ", "::warning "))
    assert ElementTree.fromstring(said("junit").encode("utf-8")).findall("testcase/failure")
    assert json.loads(said("gitlab"))


def test_sarif_writes_a_path_as_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finding = Finding(what="It stops.", why="A lock.", rule="E101")
    judged = Judged(finding, "shop", "0002", tmp_path / "a b: 50%" / "é.py")
    (result,) = json.loads(as_sarif([judged]))["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place["uri"] == "a%20b%3A%2050%25/%C3%A9.py"


def test_junit_fails_for_errors_alone(project):
    suite = ElementTree.fromstring(report(project, "junit"))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert len(suite.findall("testcase/failure")) == 1


def test_every_report_leads_to_the_line_of_the_operation(project, monkeypatch):
    """A click in the pull request opens what is to be changed."""
    monkeypatch.chdir(project.folder)
    harmless = 'migrations.RunSQL("SELECT 1", ""),'
    path = project.migration("0002_two", f"{harmless}\n\n# the slow one\n{INDEX}")
    line = 1 + next(n for n, text in enumerate(path.read_text().splitlines()) if "AddInd" in text)
    name = f"{project.label}/migrations/0002_two.py"

    def said(*options: str) -> str:
        out = io.StringIO()
        project.forget()
        with pytest.raises(CommandError):
            call_command("safemigrate", "lint", *options, stdout=out)
        return out.getvalue()

    assert f"{name}:{line}\n" in said()
    assert f"file={name},line={line},title=" in said("--format", "github")
    assert json.loads(said("--format", "json"))["findings"][0]["line"] == line
    assert json.loads(said("--format", "gitlab"))[0]["location"]["lines"] == {"begin": line}
    case = ElementTree.fromstring(said("--format", "junit")).find("testcase")
    assert (case.get("file"), case.get("line")) == (name, str(line))
    (result,) = json.loads(said("--format", "sarif"))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": line}


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [
        (
            "x = 1\nclass Migration:\n    operations = [\n        A(),\n\n        B(\n        )]",
            1,
            6,
        ),
        ("class Migration:\n    operations: list = [A(),\n        B()]", 1, 2 + 1),
        ("# about the whole\nclass Migration:\n    operations = [A()]", None, 2),
        ("\n\nclass Migration:\n    operations = [A(), *more, B()]", 2, 3),
        ("\nclass Migration:\n    operations = made()", 0, 2),
        ("Migration = made()", 0, 1),
        ("x = 1\ndef broken(:", None, 2),
    ],
)
def test_the_line_is_that_of_the_operation_or_of_the_class(tmp_path, text, place, line):
    path = tmp_path / "0002.py"
    path.write_text(text)
    assert line_of(path, place) == line


def test_a_file_that_nobody_can_read_has_no_line(tmp_path):
    """Only its bytecode is there, or it went meanwhile."""
    compiled = tmp_path / "0002.pyc"
    compiled.write_bytes(b"\xa7\x0d\x0d\x0a\xff")
    assert line_of(compiled, 0) is None
    assert line_of(tmp_path / "gone.py", 0) is None
    assert line_of(None, None) is None


def test_a_project_without_findings_has_an_empty_report(project):
    out = io.StringIO()
    call_command("safemigrate", "lint", "--format", "json", stdout=out)
    assert json.loads(out.getvalue())["findings"] == []


def test_the_assertion_of_a_test_suite_fails_with_the_whole_finding(project):
    """In a project's own tests, beside all others."""
    assert_migrations_are_safe()
    project.migration("0002_index", INDEX)
    with pytest.raises(AssertionError, match="AddIndexConcurrently"):
        assert_migrations_are_safe()
    assert_migrations_are_safe(apps=["nothing"])
