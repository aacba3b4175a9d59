"""Checks: none hides another, none raises, none takes longer than it may."""

import threading
import time
from collections.abc import Iterator

import pytest
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.findings import Check, Finding, examine, hang, ok


def test_a_check_that_hangs_is_given_up_and_hides_nothing() -> None:
    ended = threading.Event()

    def hanging() -> Iterator[Finding]:
        yield ok("the first answer came")
        ended.wait(60)

    start = time.monotonic()
    found = examine([Check("slow", hanging, 0.3, "look there"), Check("quick", lambda: [ok("fine")])])
    assert time.monotonic() - start < 5
    assert hang()
    ended.set()
    assert found == [
        Finding("ok", "the first answer came", "slow"),
        Finding("error", "no answer within 0.3 s: look there", "slow"),
        Finding("ok", "fine", "quick"),
    ]


def test_errors_are_findings_on_one_line_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(error: Exception) -> list[Finding]:
        raise error

    def missing() -> list[Finding]:
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")

    found = examine(
        [
            Check("mistake", lambda: fail(UserError("https://me:secret@host fails:\n\n  its log\nDo that."))),
            Check("bug", lambda: fail(KeyError("name"))),
            Check("disk", lambda: fail(OSError(28, "No space left on device", "/there"))),
            Check("library", missing),
        ]
    )
    assert {finding.level for finding in found} == {"error"}
    texts = {finding.check: finding.text for finding in found}
    assert texts["mistake"] == "https://***@host fails: its log Do that."
    assert texts["bug"].startswith("the check failed (KeyError: 'name')")
    assert texts["disk"].startswith("/there: No space left on device. Make room")
    assert "This needs mlflow, which is not installed: make setup" in texts["library"]
    assert capsys.readouterr().err == ""
