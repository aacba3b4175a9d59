"""Signatures: whatever somebody without the key does to a folder is found."""

import base64
import datetime
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.version import signature
from titanic_survival.toolkit.version.signature import KeySigner, TrustedSigners, Verifier

FOREIGN = "its signature is none of VERIFY_KEY"


def verifier(keys: Path) -> Verifier:
    return Verifier(TrustedSigners(keys))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two files, which nobody has signed."""
    folder = tmp_path / "version"
    (folder / "below").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(bytes(range(100)))
    (folder / "below" / "details.json").write_text("{}")
    return folder


def flip(folder: Path) -> None:
    content = bytearray((folder / "model.onnx").read_bytes())
    content[50] ^= 1
    (folder / "model.onnx").write_bytes(content)


def change_all(folder: Path) -> None:
    flip(folder)
    (folder / "below" / "details.json").write_text('{"it\'s": "so"}')


def replace_by_link(folder: Path) -> None:
    outside = folder.parent / "outside"
    (folder / "model.onnx").rename(outside)
    (folder / "model.onnx").symlink_to(outside)


def link_signature(folder: Path) -> None:
    (folder / signature.FILE).rename(folder.parent / "signature")
    (folder / signature.FILE).symlink_to(folder.parent / "signature")


def change_statement(folder: Path) -> None:
    """Change a file, and its hash in the statement that was signed."""
    flip(folder)
    path = folder / signature.FILE
    bundle = json.loads(path.read_bytes())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    statement["predicate"]["resources"].pop()
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(bundle))


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (flip, "its files differ from those that were signed (model.onnx)"),
        (change_all, "its files differ from those that were signed (below/details.json, model.onnx)"),
        (lambda folder: (folder / "more").touch(), "its files differ from those that were signed (more)"),
        (lambda folder: (folder / ".gitignore").touch(), "its files differ from those that were signed (.gitignore)"),
        (lambda folder: (folder / "model.onnx").unlink(), "its files differ from those that were signed (model.onnx)"),
        (
            lambda folder: (folder / "model.onnx").rename(folder / "below" / "model.onnx"),
            "its files differ from those that were signed (below/model.onnx, model.onnx)",
        ),
        (lambda folder: (folder / "more").symlink_to("/etc/hostname"), FOREIGN),
        (replace_by_link, FOREIGN),
        (lambda folder: (folder / "all").symlink_to("/etc", target_is_directory=True), FOREIGN),
        (lambda folder: (folder / signature.FILE).unlink(), "it is not signed"),
        (link_signature, "it is not signed"),
        (lambda folder: (folder / signature.FILE).write_text(""), FOREIGN),
        (lambda folder: (folder / signature.FILE).write_text("[]"), FOREIGN),
        (lambda folder: (folder / signature.FILE).write_text("[" * 100_000), FOREIGN),
        (lambda folder: (folder / signature.FILE).write_bytes(b"\xff\x00"), FOREIGN),
        (change_statement, FOREIGN),
    ],
)
def test_every_change_is_found(
    folder: Path, keys: Callable[..., Any], attack: Callable[[Path], object], said: str
) -> None:
    pair = keys()
    KeySigner(pair.private).sign(folder)
    opened = verifier(pair.public)
    assert opened.problem(folder) == ""
    attack(folder)
    assert opened.problem(folder) == said


def test_signature_of_somebody_else_is_none(folder: Path, keys: Callable[..., Any]) -> None:
    KeySigner(keys("theirs").private).sign(folder)
    assert verifier(keys("ours").public).problem(folder) == FOREIGN


def test_statement_that_names_files_outside_of_the_folder_is_none(folder: Path, keys: Callable[..., Any]) -> None:
    """Even of a trusted key: what it names must be in the folder, and all of it."""
    from google.protobuf import json_format
    from model_signing._signing import sign_ec_key, signing

    outside = folder.parent / "outside"
    outside.write_text("")
    pair = keys()

    class Traversing(signing.Payload):
        def __init__(self, manifest: Any) -> None:
            super().__init__(manifest)
            statement = json_format.MessageToDict(self.statement.pb)
            statement["predicate"]["resources"][0]["name"] = "../outside"
            json_format.ParseDict(statement, self.statement.pb)

    manifest = signature._hashing().hash(folder)
    sign_ec_key.Signer(pair.private).sign(Traversing(manifest)).write(folder / signature.FILE)
    said = verifier(pair.public).problem(folder)
    assert said.startswith("its files differ from those that were signed")
    assert outside.exists()


def test_any_of_several_keys_may_have_signed(folder: Path, keys: Callable[..., Any]) -> None:
    old, new, third = keys("old"), keys("new", curve=ec.SECP384R1()), keys("third")
    both = folder.parent / "both.pub"
    both.write_bytes(old.public.read_bytes() + new.public.read_bytes())
    for pair, said in ((old, ""), (new, ""), (third, FOREIGN)):
        KeySigner(pair.private).sign(folder)
        assert verifier(both).problem(folder) == said
    KeySigner(new.private).sign(folder)
    flip(folder)
    assert verifier(both).problem(folder) == "its files differ from those that were signed (model.onnx)"


def test_encrypted_key_needs_its_password(folder: Path, keys: Callable[..., Any]) -> None:
    pair = keys(password="secret")
    KeySigner(pair.private, "secret").sign(folder)
    assert verifier(pair.public).problem(folder) == ""
    for wrong in ("", "another"):
        with pytest.raises(UserError, match=r"key.pem: SIGNING_PASSWORD is wrong, or missing"):
            KeySigner(pair.private, wrong)


def test_key_that_cannot_be_used_is_named(tmp_path: Path, keys: Callable[..., Any]) -> None:
    other, text = tmp_path / "ed.pem", tmp_path / "text"
    private = ed25519.Ed25519PrivateKey.generate()
    other.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    text.write_text("no key")
    for path in (other, text, keys("k", curve=ec.SECP256K1()).private):
        with pytest.raises(UserError, match=f"SIGNING_KEY={path} cannot be used: .*P-256.*docs/signing.md"):
            KeySigner(path)
        with pytest.raises(UserError, match=f"VERIFY_KEY={path} has no public key"):
            verifier(path)
    for made in (KeySigner, verifier):
        with pytest.raises(UserError, match=r"none.pem: No such file.*docs/signing.md"):
            made(tmp_path / "none.pem")


@pytest.fixture
def certify(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes the certificate of a key, by the key of an authority."""

    def certify(name: str, key: Path, authority: Path | None = None, *, may_sign: bool = True) -> Path:
        subject = serialization.load_pem_private_key(key.read_bytes(), None)
        issuer = serialization.load_pem_private_key((authority or key).read_bytes(), None)
        issued_by = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, (authority or key).stem)])
        day = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, key.stem)]))
            .issuer_name(issued_by)
            .public_key(subject.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(day)
            .not_valid_after(day + datetime.timedelta(days=9))
            .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(may_sign, False, False, False, False, authority is None, authority is None, False, False),
                critical=True,
            )
        )
        path = tmp_path / f"{name}.crt"
        path.write_bytes(builder.sign(issuer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path

    return certify


def test_certificate_of_an_authority_that_is_trusted(
    folder: Path, keys: Callable[..., Any], certify: Callable[..., Path]
) -> None:
    authority, signer = keys("authority"), keys("signer")
    trusted = certify("authority", authority.private)
    KeySigner(signer.private, certificate=certify("signer", signer.private, authority.private)).sign(folder)
    assert verifier(trusted).problem(folder) == ""
    flip(folder)
    assert verifier(trusted).problem(folder) == "its files differ from those that were signed (model.onnx)"
    flip(folder)
    other = certify("another", keys("another").private)
    assert verifier(other).problem(folder) == FOREIGN
    KeySigner(signer.private, certificate=certify("signer", signer.private, authority.private, may_sign=False)).sign(
        folder
    )
    assert verifier(trusted).problem(folder) == FOREIGN
    with pytest.raises(UserError, match=r"authority.crt is not of the key SIGNING_KEY="):
        KeySigner(signer.private, certificate=trusted)
    with pytest.raises(UserError, match="SIGNING_PASSWORD is set"):
        KeySigner(signer.private, "secret", trusted)


def test_the_library_itself_verifies_it_too(folder: Path, keys: Callable[..., Any]) -> None:
    pair = keys()
    KeySigner(pair.private).sign(folder)
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command += ["--signature", str(folder / signature.FILE), "--public_key", str(pair.public)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
