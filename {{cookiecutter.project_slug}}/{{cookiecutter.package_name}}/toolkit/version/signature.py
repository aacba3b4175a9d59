"""The signature of a version's folder: who made it, and that no file was added, changed or removed since.

It is a file of the folder in the format of OpenSSF Model Signing: an in-toto statement with the SHA-256 of every other
file, in a DSSE envelope, in a Sigstore bundle. The library `model-signing` writes and verifies it, offline.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common.errors import UserError

if TYPE_CHECKING:
    from model_signing import hashing

FILE = "model.sig"
#: How the library says that files differ from those that were signed, and names them, in the notation of Python.
DIFFERENT = "Signature mismatch"
DIFFERENCES = re.compile(r"Hash mismatch for \\?'(.+?)\\?': Expected|(?:Extra|Missing) files [^:]*: ([^'\"\\]+)")
PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----\n?", re.DOTALL)
MAKE_A_KEY = "docs/signing.md shows how to make a key"


class Signer:
    """Signs folders with a key; `UserError` if the key cannot be used."""

    def __init__(self, key: Path, password: str = "", certificate: Path | None = None) -> None:
        from model_signing import signing

        if certificate and password:
            raise UserError(
                "SIGNING_PASSWORD is set, but a key that has a certificate is read without password: write the key "
                "without encryption, or unset SIGNING_CERTIFICATE."
            )
        self._config = signing.Config().set_hashing_config(_hashing())
        try:
            if certificate:
                # Its file may hold the certificates between it and the authority, too.
                self._config.use_certificate_signer(
                    private_key=key, signing_certificate=certificate, certificate_chain=[certificate]
                )
            else:
                # The annotation says str, but only bytes are accepted.
                encoded: Any = password.encode() or None
                self._config.use_elliptic_key_signer(private_key=key, password=encoded)
        except OSError as error:
            raise UserError(f"{error.filename}: {error.strerror}; {MAKE_A_KEY}.") from error
        except (ValueError, TypeError, AttributeError) as error:  # the last is of a key of another kind
            if "assword" in str(error):
                raise UserError(
                    f"SIGNING_KEY={key}: SIGNING_PASSWORD is wrong, or missing, or the key is not encrypted."
                ) from error
            if certificate and "does not match" in str(error):
                raise UserError(f"SIGNING_CERTIFICATE={certificate} is not of the key SIGNING_KEY={key}.") from error
            raise UserError(
                f"SIGNING_KEY={key}{f' with SIGNING_CERTIFICATE={certificate}' if certificate else ''} cannot be used: "
                f"versions are signed with a private key on the curve P-256, P-384 or P-521 in PEM; {MAKE_A_KEY}."
            ) from error

    def sign(self, folder: Path) -> None:
        """Add the signature to a folder."""
        (folder / FILE).unlink(missing_ok=True)
        self._config.sign(folder, folder / FILE)


class Verifier:
    """Verifies signatures by public keys, any of which may have signed, or by certificates of authorities."""

    def __init__(self, trusted: Path) -> None:
        """Read a PEM file; `UserError` if it has neither."""
        from model_signing import verifying

        try:
            text = trusted.read_text(encoding="utf-8", errors="replace")
            if "-----BEGIN CERTIFICATE-----" in text:
                self._configs = [verifying.Config().use_certificate_verifier(certificate_chain=[trusted])]
            else:
                with tempfile.TemporaryDirectory() as scratch:
                    file = Path(scratch) / "key"
                    self._configs = []
                    for key in PUBLIC_KEY.findall(text):
                        file.write_text(key)
                        self._configs.append(verifying.Config().use_elliptic_key_verifier(public_key=file))
        except OSError as error:
            raise UserError(f"VERIFY_KEY={trusted}: {error.strerror}; {MAKE_A_KEY}.") from error
        except (ValueError, TypeError, AttributeError):
            self._configs = []
        if not self._configs:
            raise UserError(
                f"VERIFY_KEY={trusted} has no public key on the curve P-256, P-384 or P-521, and no certificate, in "
                f"PEM; {MAKE_A_KEY}."
            )

    def problem(self, folder: Path) -> str:
        """Return why a folder is not as someone who is trusted has signed it, "" if it is."""
        file = folder / FILE
        if file.is_symlink() or not file.is_file():
            return "it is not signed"
        errors = []
        for config in self._configs:
            try:
                config.set_hashing_config(_hashing()).verify(folder, file)
            except Exception as error:  # whatever a file that anybody may have written makes its readers raise
                errors.append(str(error))
            else:
                return ""
        for text in errors:
            if text.startswith(DIFFERENT):
                names = ", ".join(changed or other for changed, other in DIFFERENCES.findall(text))
                return f"its files differ from those that were signed ({names[:200]})"
        return "its signature is none of VERIFY_KEY"


def _hashing() -> hashing.Config:
    """Return that every file counts; by default the library leaves out those of git."""
    from model_signing import hashing

    return hashing.Config().use_file_serialization().set_ignored_paths(paths=[FILE], ignore_git_paths=False)
