"""Keyless signatures: made as who runs the process, verified by identity, and refused from anybody else."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sigstore_stand_in import CERTIFICATES, LOG, LOGIN, TOKENS, WORKFLOW, SigstoreStandIn
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.version import keyless, signature
from titanic_survival.toolkit.version.keyless import KeylessSigner
from titanic_survival.toolkit.version.signature import KeySigner, TrustedSigners, Verifier

OTHER = "https://github.com/eve/titanic/.github/workflows/train.yml@refs/heads/main"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyless, "PAUSES", (0.01, 0.01))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "version"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(bytes(range(100)))
    return folder


def trust(sigstore: SigstoreStandIn, *identities: str, issuer: str = "", keys: Path | None = None) -> TrustedSigners:
    return TrustedSigners(keys, identities, issuer or sigstore.url, sigstore.trust_config)


def test_version_that_a_trusted_workflow_signed_is_verified_without_a_service(
    sigstore: SigstoreStandIn, folder: Path
) -> None:
    trusted = trust(sigstore, WORKFLOW)
    KeylessSigner(trusted).sign(folder)
    assert sigstore.requests.count(LOG) == 1
    sigstore.close()
    assert Verifier(trusted).problem(folder) == ""
    assert Verifier(trust(sigstore, "ada@example.com", WORKFLOW)).problem(folder) == ""
    (folder / "model.onnx").write_bytes(b"another")
    assert Verifier(trusted).problem(folder) == "its files differ from those that were signed (model.onnx)"


def test_signature_of_another_identity_or_provider_is_refused_and_named(
    sigstore: SigstoreStandIn, folder: Path
) -> None:
    KeylessSigner(trust(sigstore)).sign(folder)
    said = Verifier(trust(sigstore, OTHER)).problem(folder)
    assert said == f"{WORKFLOW} signed it, who is not in VERIFY_IDENTITY"
    said = Verifier(trust(sigstore, WORKFLOW, issuer="https://gitlab.com")).problem(folder)
    assert said == f"{sigstore.url} vouches for who signed it, which is not VERIFY_ISSUER=https://gitlab.com"


def test_signature_by_another_sigstore_is_none(sigstore: SigstoreStandIn, folder: Path, tmp_path: Path) -> None:
    """Anybody can run one, which certifies whatever name they like."""
    theirs = SigstoreStandIn(tmp_path / "version")
    try:
        theirs.request_token = sigstore.request_token
        sigstore.replaced[TOKENS] = lambda _: (200, {"value": theirs.token(iss=sigstore.url)})
        KeylessSigner(trust(theirs)).sign(folder)
        assert Verifier(trust(theirs, WORKFLOW, issuer=sigstore.url)).problem(folder) == ""
        assert Verifier(trust(sigstore, WORKFLOW)).problem(folder) == "its signature is none of VERIFY_IDENTITY"
    finally:
        theirs.close()


def change_statement(bundle: dict[str, Any]) -> None:
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    statement["subject"][0]["digest"]["sha256"] = "0" * 64
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()


def leave_out_log(bundle: dict[str, Any]) -> None:
    bundle["verificationMaterial"]["tlogEntries"] = []


def date_back(bundle: dict[str, Any]) -> None:
    """Say that it was signed while an old certificate was valid."""
    bundle["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = "1700000000"


@pytest.mark.parametrize("attack", [change_statement, leave_out_log, date_back])
def test_changed_signature_is_none(
    sigstore: SigstoreStandIn, folder: Path, attack: Callable[[dict[str, Any]], None]
) -> None:
    trusted = trust(sigstore, WORKFLOW)
    KeylessSigner(trusted).sign(folder)
    bundle = json.loads((folder / signature.FILE).read_bytes())
    attack(bundle)
    (folder / signature.FILE).write_text(json.dumps(bundle))
    assert Verifier(trusted).problem(folder) == "its signature is none of VERIFY_IDENTITY"


def test_keys_and_identities_may_both_be_trusted(
    sigstore: SigstoreStandIn, folder: Path, keys: Callable[..., Any]
) -> None:
    """So a team can go from one to the other."""
    ours, theirs = keys("ours"), keys("theirs")
    verifier = Verifier(trust(sigstore, WORKFLOW, keys=ours.public))
    KeySigner(ours.private).sign(folder)
    assert verifier.problem(folder) == ""
    KeylessSigner(trust(sigstore)).sign(folder)
    assert verifier.problem(folder) == ""
    KeySigner(theirs.private).sign(folder)
    assert verifier.problem(folder) == "its signature is none of VERIFY_KEY or VERIFY_IDENTITY"
    assert Verifier(trust(sigstore, WORKFLOW)).problem(folder) == "its signature is none of VERIFY_IDENTITY"


def test_nothing_is_logged_before_there_is_something_to_sign(sigstore: SigstoreStandIn) -> None:
    KeylessSigner(trust(sigstore, WORKFLOW))
    assert {CERTIFICATES, LOG}.isdisjoint(sigstore.requests)


def test_signature_that_would_be_refused_is_an_error(sigstore: SigstoreStandIn, folder: Path) -> None:
    with pytest.raises(UserError, match=rf"VERIFY_IDENTITY={OTHER} would refuse this version, since {WORKFLOW} signed"):
        KeylessSigner(trust(sigstore, OTHER)).sign(folder)
    with pytest.raises(UserError, match=f"{sigstore.url} vouches .*VERIFY_ISSUER=https://gitlab.com refuses that"):
        KeylessSigner(trust(sigstore, WORKFLOW, issuer="https://gitlab.com"))


def test_keys_alone_would_refuse_it_and_nothing_is_asked(sigstore: SigstoreStandIn, keys: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"key.pub refuses what is signed without a key: set VERIFY_IDENTITY"):
        KeylessSigner(trust(sigstore, keys=keys().public))
    assert sigstore.requests == []


@pytest.mark.parametrize("path", [CERTIFICATES, LOG])
@pytest.mark.parametrize(
    "wrong", [(500, {}), (429, {"message": "slow down"}), (200, {}), (200, []), (200, "\x00"), (201, {"uuid": None})]
)
def test_service_that_fails_is_asked_again_and_then_told(
    sigstore: SigstoreStandIn, folder: Path, path: str, wrong: tuple[int, Any]
) -> None:
    trusted = trust(sigstore, WORKFLOW)
    signer = KeylessSigner(trusted)
    failures = [wrong, wrong]
    sigstore.replaced[path] = lambda answer: failures.pop() if failures else answer
    signer.sign(folder)
    assert sigstore.requests.count(path) == 3
    assert Verifier(trusted).problem(folder) == ""
    sigstore.replaced[path] = lambda _: wrong
    with pytest.raises(UserError, match=r"The version is not signed: \S+.*SIGNING_KEY") as told:
        signer.sign(folder)
    assert len(str(told.value)) < 1000


def test_service_that_does_not_answer_holds_up_no_training(
    sigstore: SigstoreStandIn, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyless, "MOST_SECONDS", 0.2)
    monkeypatch.setattr(keyless, "PAUSES", ())
    sigstore.replaced[LOG] = lambda answer: (time.sleep(2), answer)[1]
    begin = time.monotonic()
    with pytest.raises(UserError, match=r"The version is not signed: no answer within 0.2 s"):
        KeylessSigner(trust(sigstore)).sign(folder)
    assert time.monotonic() - begin < 1.5


def test_certificate_that_no_transparency_log_has_is_not_used(sigstore: SigstoreStandIn, folder: Path) -> None:
    sigstore._timestamp = lambda logged: SigstoreStandIn._timestamp(sigstore, logged[:-1])  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"The version is not signed: .*SCT"):
        KeylessSigner(trust(sigstore)).sign(folder)


def test_job_without_identity_token_is_told_how_to_get_one(
    sigstore: SigstoreStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, cure = trust(sigstore, WORKFLOW), ".*docs/signing.md.*SIGNING_KEY"
    for answer in ((500, {}), (200, {}), (200, {"value": "no token"}), (200, {"value": sigstore.token(exp=1)})):
        sigstore.replaced[TOKENS] = lambda _, answer=answer: answer
        with pytest.raises(UserError, match=f"SIGNING_KEYLESS=1 .*the CI job gets no identity token{cure}"):
            KeylessSigner(trusted)
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_URL")
    with pytest.raises(UserError, match=f"ACTIONS_ID_TOKEN_REQUEST_URL environment variable was unset{cure}"):
        KeylessSigner(trusted)
    monkeypatch.delenv("GITHUB_ACTIONS")
    with pytest.raises(UserError, match=f"neither a CI job nor a person at a terminal{cure}"):
        KeylessSigner(trusted)
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", sigstore.token())
    KeylessSigner(trusted)


def test_person_at_a_terminal_logs_in_when_the_version_is_signed(
    sigstore: SigstoreStandIn,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    monkeypatch.setattr("builtins.input", lambda _: "code")
    sigstore.identity = "mailto:ada@example.com"
    trusted = trust(sigstore, sigstore.identity)
    signer = KeylessSigner(trusted)
    assert LOGIN not in sigstore.requests
    signer.sign(folder)
    assert f"{sigstore.url}/auth" in capsys.readouterr().err
    assert Verifier(trusted).problem(folder) == ""
    sigstore.replaced[LOGIN] = lambda _: (403, {})
    with pytest.raises(UserError, match=rf"the login at {sigstore.url} failed \(.*403.*SIGNING_KEY"):
        signer.sign(folder)


def test_trust_config_that_cannot_be_used_is_named(sigstore: SigstoreStandIn, tmp_path: Path) -> None:
    for content, said in (("{}", "no trust config of a Sigstore"), ("\x00", "no trust config"), (None, "No such file")):
        file = tmp_path / "config.json"
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_text(content)
        trusted = TrustedSigners(None, (WORKFLOW,), sigstore.url, file)
        for made in (KeylessSigner, Verifier):
            with pytest.raises(UserError, match=f"SIGSTORE_TRUST_CONFIG={file}: {said}"):
                made(trusted)


def test_public_roots_of_trust_that_cannot_be_fetched(
    sigstore: SigstoreStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sigstore.models.DEFAULT_TUF_URL", f"{sigstore.url}/tuf")
    for made in (KeylessSigner, Verifier):
        with pytest.raises(UserError, match=r"roots of trust of Sigstore cannot be fetched.*SIGSTORE_TRUST_CONFIG"):
            made(TrustedSigners(None, (WORKFLOW,), sigstore.url))


def test_the_library_itself_verifies_it_too(sigstore: SigstoreStandIn, folder: Path) -> None:
    KeylessSigner(trust(sigstore)).sign(folder)
    command = [sys.executable, "-m", "model_signing", "verify", "sigstore", str(folder)]
    command += ["--signature", str(folder / signature.FILE), "--trust_config", str(sigstore.trust_config)]
    command += ["--identity", WORKFLOW, "--identity_provider", sigstore.url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
