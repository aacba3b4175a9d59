"""The audit: vulnerabilities are found, told once, and never taken for absent because nobody answered."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from osv_service import advisory, serving
from titanic_survival import audit, config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.release.bom import osv
from titanic_survival.toolkit.release.bom.audit import as_query
from titanic_survival.toolkit.release.bom.osv import Query

DEBIAN = {"ecosystem": "Debian:12"}
PURLS = (
    "pkg:pypi/jinja2@3.1.2",
    "pkg:pypi/numpy@2.4.6",
    "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12&upstream=glibc",
    "pkg:generic/python@3.11.7",
)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Return a folder with an environment's document and an image's, which share a library."""
    for name, purls in {"environment": PURLS[:2], "image": (PURLS[0], *PURLS[2:])}.items():
        components = [
            {"type": "library", "name": purl.split("/")[-1].split("@")[0], "version": "1", "purl": purl}
            for purl in purls
        ]
        (tmp_path / f"{name}.cdx.json").write_text(json.dumps({"components": components}))
    return tmp_path


@pytest.fixture
def run(documents: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Return a function that audits the documents at an address, without waiting long."""
    monkeypatch.setattr(osv, "LONGEST_WAIT", 0.0)
    monkeypatch.setattr(audit, "Osv", lambda address: osv.Osv(address, seconds=0.5))
    monkeypatch.setattr(audit, "ACCEPTED", documents / "audit.accepted")
    return lambda address: audit.run(config.Settings(advisory_url=address), documents)


def test_known_vulnerability_fails_and_names_its_fix(
    run: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    known = advisory("GHSA-1", "jinja2", "3.1.2", fixed="3.1.6", aliases=["CVE-2025-1", "PYSEC-1"])
    same = advisory("PYSEC-1", "jinja2", "3.1.2", fixed="3.1.6", aliases=["GHSA-1"])
    with serving(known, same, advisory("GHSA-2", "numpy", "1.0")) as (address, _):
        assert run(address) == audit.VULNERABLE
    [row] = [line.split() for line in capsys.readouterr().out.splitlines() if "CVE-2025-1" in line]
    assert row == ["jinja2", "1", "CVE-2025-1", "3.1.6", "environment,", "image"]


def test_nothing_known_is_said_and_what_was_not_checked_too(
    run: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as (address, service):
        assert run(address) == audit.CLEAN
        assert service.asked == [("POST", "/v1/querybatch")]
    out = capsys.readouterr().out
    assert "3 packages of environment.cdx.json, image.cdx.json" in out
    assert "Not checked, as the service does not know such packages: python 1." in out


def test_packages_of_the_system_fail_only_where_a_fix_is_released(
    run: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    open_one = advisory("DEBIAN-CVE-2026-1", "glibc", "2.36-9", **DEBIAN, upstream=["CVE-2026-1"])
    with serving(open_one) as (address, _):
        assert run(address) == audit.CLEAN
    assert "1 in packages of the system wait for a fix, and do not fail the audit: libc6 CVE-2026-1" in (
        capsys.readouterr().out
    )
    fixed = advisory("DEBIAN-CVE-2026-1", "glibc", "2.36-9", fixed="2.36-10", **DEBIAN, upstream=["CVE-2026-1"])
    with serving(fixed) as (address, _):
        assert run(address) == audit.VULNERABLE


def test_library_without_a_fix_fails(run: Callable[[str], int]) -> None:
    with serving(advisory("PYSEC-1", "numpy", "2.4.6")) as (address, _):
        assert run(address) == audit.VULNERABLE


def test_advisory_about_several_vulnerabilities_hides_none(
    run: Callable[[str], int], documents: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = advisory("DSA-1", "glibc", "2.36-9", fixed="2.36-10", **DEBIAN, upstream=["CVE-2026-1", "CVE-2026-2"])
    first, second = (
        advisory(f"DEBIAN-CVE-2026-{n}", "glibc", "2.36-9", fixed="2.36-10", **DEBIAN, upstream=[f"CVE-2026-{n}"])
        for n in (1, 2)
    )
    (documents / "audit.accepted").write_text("CVE-2026-1 not reachable\n")
    with serving(both, first, second) as (address, _):
        assert run(address) == audit.VULNERABLE
    out = capsys.readouterr().out
    assert "CVE-2026-2" in out
    assert "CVE-2026-1" not in out


def test_accepted_and_withdrawn_advisories_are_left_out(run: Callable[[str], int], documents: Path) -> None:
    (documents / "audit.accepted").write_text("# until the next release\n\nCVE-2025-1  templates are ours\n")
    accepted = advisory("GHSA-1", "jinja2", "3.1.2", aliases=["CVE-2025-1"])
    withdrawn = advisory("GHSA-2", "jinja2", "3.1.2", withdrawn="2026-02-01T00:00:00Z")
    with serving(accepted, withdrawn) as (address, _):
        assert run(address) == audit.CLEAN


def test_accepted_without_a_reason_is_an_error(run: Callable[[str], int], documents: Path) -> None:
    (documents / "audit.accepted").write_text("CVE-2025-1\n")
    with pytest.raises(UserError, match=r"line 1: CVE-2025-1 has no reason"):
        run("http://127.0.0.1:9")


def test_answers_in_pages_and_batches_are_read_to_the_end(
    run: Callable[[str], int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(osv, "BATCH", 2)
    many = [advisory(f"PYSEC-{n}", "jinja2", "3.1.2") for n in range(5)]
    with serving(*many, page=2) as (address, service):
        assert run(address) == audit.VULNERABLE
        assert service.asked.count(("POST", "/v1/querybatch")) == 4  # three pages of the first batch, and the second
    assert "5 known vulnerabilities." in capsys.readouterr().out


BUSY = [(status, {"Retry-After": "1"}, b"", 0.0) for status in (429, 503, 500)]


def test_busy_service_is_asked_again(run: Callable[[str], int]) -> None:
    with serving(advisory("GHSA-1", "jinja2", "3.1.2")) as (address, service):
        service.spoilt.extend(BUSY)
        assert run(address) == audit.VULNERABLE
        assert len(service.asked) == len(BUSY) + 2


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([(500, {}, b"", 0.0)] * osv.ATTEMPTS, "HTTP 500"),
        ([(429, {}, b"", 0.0)] * osv.ATTEMPTS, "HTTP 429"),
        ([(200, {}, b"{}", 1.0)] * osv.ATTEMPTS, "ReadTimeout"),
        ([(403, {}, b"blocked by the proxy", 0.0)], "HTTP 403: blocked by the proxy"),
        ([(302, {"Location": "/login"}, b"", 0.0)], "HTTP 302"),
        ([(200, {}, b"<html>Sign in</html>", 0.0)], "no JSON"),
        ([(200, {}, b"[]", 0.0)], "not OSV's"),
        ([(200, {}, b"{}", 0.0)], "a result for each package"),
        ([(200, {}, b'{"results": [{}]}', 0.0)], "a result for each package"),
        ([(200, {}, b'{"results": [1, 2, 3]}', 0.0)], "not OSV's"),
        ([(200, {}, b'{"results": [{"vulns": [{}]}, {}, {}]}', 0.0)], "not OSV's"),
    ],
)
def test_failing_service_is_not_a_clean_audit(
    answers: list[Any], reason: str, run: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as (address, service):
        service.spoilt.extend(answers)
        assert run(address) == audit.NOT_CHECKED
    captured = capsys.readouterr()
    assert "Not checked: no advisory service answered" in captured.err
    assert "3 packages" in captured.err
    assert reason in captured.err
    assert "No known vulnerability" not in captured.out


def test_advisory_that_cannot_be_read_is_not_a_clean_audit(
    run: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(advisory("GHSA-1", "jinja2", "3.1.2")) as (address, service):
        service.advisories["GHSA-1"] = {**service.advisories["GHSA-1"], "id": "another"}
        assert run(address) == audit.NOT_CHECKED
    assert "/v1/vulns/GHSA-1" in capsys.readouterr().err


def test_service_that_cannot_be_reached_is_named_without_its_password(
    run: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as reserved:  # bound and not listening: connections are refused
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        assert run(f"http://ada:secret@127.0.0.1:{port}") == audit.NOT_CHECKED
    err = capsys.readouterr().err
    assert f"http://***@127.0.0.1:{port}/v1/querybatch: ConnectError" in err
    assert "secret" not in err
    assert "ADVISORY_URL" in err
    assert run("no address at all") == audit.NOT_CHECKED


def test_missing_or_broken_documents_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make sbom"):
        audit.run(config.Settings(), tmp_path)
    (tmp_path / "image.cdx.json").write_text("{}")
    with pytest.raises(UserError, match=r"image.cdx.json is no bill of materials.*make sbom"):
        audit.run(config.Settings(), tmp_path)


@pytest.mark.parametrize(
    ("purl", "query"),
    [
        ("pkg:pypi/scikit-learn@1.9.1", Query("PyPI", "scikit-learn", "1.9.1")),
        ("pkg:deb/debian/bash@5.2-2%2Bb1?distro=debian-12&upstream=bash%405.2-2", Query("Debian:12", "bash", "5.2-2")),
        ("pkg:deb/debian/libssl3@3.0.1?distro=debian-13&upstream=openssl", Query("Debian:13", "openssl", "3.0.1")),
        ("pkg:deb/debian/bash@5.2-2?distro=debian-12", Query("Debian:12", "bash", "5.2-2")),
        ("pkg:deb/debian/bash@5.2-2", None),  # which release of Debian is not known
        ("pkg:deb/ubuntu/bash@5.2-2?distro=ubuntu-24.04", None),
        ("pkg:generic/python@3.11.7", None),
        ("", None),
    ],
)
def test_service_is_asked_for_source_packages(purl: str, query: Query | None) -> None:
    assert as_query(purl) == query
