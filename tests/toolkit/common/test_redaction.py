"""Redaction: addresses are shown without passwords, tokens and signatures."""

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest
from titanic_survival import config
from titanic_survival.toolkit.common import console, redaction
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.redaction import redact, redact_address


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:secret@host:5000/x", "http://***@host:5000/x"),
        ("at 'https://user:sec@ret@host', or 'http://b.c'", "at 'https://***@host', or 'http://b.c'"),
        ("postgresql+psycopg://user:sec/ret@host/db", "postgresql+psycopg://***@host/db"),
        ("redis://:secret@host and http://u:secret@b", "redis://***@host and http://***@b"),
        ("https://ghp_secret@github.com/o/r.git", "https://***@github.com/o/r.git"),
        ("http%3A%2F%2Fuser%3Asecret%40host%2Fx", "http%3A%2F%2F***%40host%2Fx"),
        ("http%3a%2f%2fuser%3asecret%40host", "http%3a%2f%2f***%40host"),
        ("http://user:se%40cret@host", "http://***@host"),
        ('{"url":"http://u:secret@h","mail":"a@b.c"}', '{"url":"http://***@h","mail":"a@b.c"}'),
        ("http://u:secret@a,http://v:secret@b/#/c", "http://***@b/#/c"),
        ("s3://b/k?X-Amz-Signature=secret&X-Amz-Credential=secret/1&v=2", "s3://b/k?X-Amz-Signature=***&X-Amz-Credential=***&v=2"),
        ("https://a.blob.core.windows.net/c?sv=2&sig=secret%3D", "https://a.blob.core.windows.net/c?sv=2&sig=***"),
        ("postgresql://h/db?user=u&password=secret", "postgresql://h/db?user=u&password=***"),
        ("Max retries exceeded with url: /api?token=secret (x)", "Max retries exceeded with url: /api?token=*** (x)"),
    ],
)  # fmt: skip
def test_secrets_of_addresses_are_replaced(text: str, shown: str) -> None:
    found = redact(text)
    assert "secret" not in found
    assert "sec" not in found.replace("secret", "")
    assert found == shown or (",http" in text and found.endswith(shown.partition("@")[2]))


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/#/experiments/1/runs/2",
        "models:/name@champion",
        "localhost:5000/team/name:1@sha256:0123",
        "git@github.com:org/project.git",
        "sqlite:////home/me/mlflow.db, or somebody@example.com",
        "sex = 'male', age >= 3",
        "https://packages.example.com/simple?format=json",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_address_without_a_scheme_is_redacted_where_it_is_known_to_be_one() -> None:
    assert redact_address("user:secret@host:5000") == "***@host:5000"
    assert redact_address("databricks") == "databricks"


def test_long_text_of_a_caller_takes_no_long_time() -> None:
    start = time.perf_counter()
    for part in ("//a:", "//", "//a:b@", "?token", "@"):
        redact(f"@{part * 20_000}@=")
    assert time.perf_counter() - start < 2


def test_messages_and_output_are_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    text = "http://user:secret@host"
    assert str(UserError(text)) == "http://***@host"
    console.say(text)
    console.next_steps((text, text))
    console.table(["", ""], [[text, text]])
    with console.step("pull") as step:
        step.progress(text)
        step.detail = text
    captured = capsys.readouterr()
    assert "secret" not in captured.out + captured.err
    assert captured.out.count("http://***@host") == 6


def test_log_and_unexpected_traceback_are_redacted() -> None:
    code = f"""
import logging
from {redaction.__name__} import install
install()
try:
    raise ValueError("http://user:secret@first")
except ValueError:
    logging.getLogger("x").exception("at %s", "http://user:secret@second")
try:
    raise OSError("http://user:secret@third")
except OSError as error:
    raise RuntimeError("http://user:secret@fourth") from error
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=config.ROOT, check=False)
    assert done.returncode == 1
    assert "secret" not in done.stderr
    for host in ("first", "second", "third", "fourth"):
        assert f"http://***@{host}" in done.stderr
    assert done.stderr.count("Traceback") == 3


def test_command_line_installs_redaction(tmp_path: Path) -> None:
    # `serve` and `bentoml serve` import the service, which does so too.
    code = "import logging, sys; sys.argv = ['x', '--help']; from titanic_survival import __main__ as m\n"
    code += "try:\n m.main()\nexcept SystemExit:\n pass\nprint(logging.getLogRecordFactory().__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=config.ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "RedactedRecord"
    assert logging.getLogRecordFactory() is not None
