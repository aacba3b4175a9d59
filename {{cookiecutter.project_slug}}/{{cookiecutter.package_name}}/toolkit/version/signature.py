"""The signature of a version's folder: who made it, and that no file was added, changed or removed since.

It is a file of the folder in the format of OpenSSF Model Signing: an in-toto statement with the SHA-256 of every other
file, in a DSSE envelope, in a Sigstore bundle. The library `model-signing` writes and verifies it: by keys and
certificates without a network, by identities (see `keyless`) with the roots of trust of a Sigstore.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..common.errors import UserError

if TYPE_CHECKING:
    from model_signing import hashing, signing, verifying

FILE = "model.sig"
#: How the library says that files differ from those that were signed, and names them, in the notation of Python.
DIFFERENT = "Signature mismatch"
DIFFERENCES = re.compile(r"Hash mismatch for \\?'(.+?)\\?': Expected|(?:Extra|Missing) files [^:]*: ([^'\"\\]+)")
PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----\n?", re.DOTALL)
#: How the library says who signed instead of the identity that is trusted, and who vouches for that one.
OTHER_IDENTITY = re.compile(r"actual SANs: \{'(.{1,300}?)'")
OTHER_ISSUER = re.compile(r"Issuer does not match \(got '(.{1,300}?)'")
MAKE_A_KEY = "docs/signing.md shows how to make a key"


@dataclass(frozen=True)
class TrustedSigners:
    """Whose signatures count: those of keys, or of identities for which an identity provider vouches.

    `keys` is a PEM file of public keys or of authorities' certificates; `sigstore` is the trust config of a private
    Sigstore, None for the public one. False if nobody is named, who then need not sign.
    """

    keys: Path | None = None
    identities: tuple[str, ...] = ()
    issuer: str = ""
    sigstore: Path | None = None

    def __bool__(self) -> bool:
        return bool(self.keys or self.identities)

    @property
    def variables(self) -> str:
        """The settings that name them."""
        return " or ".join(name for name, value in self._named if value)

    def __str__(self) -> str:
        return " and ".join(f"{name}={value}" for name, value in self._named if value)

    @property
    def _named(self) -> list[tuple[str, str]]:
        return [("VERIFY_KEY", str(self.keys or "")), ("VERIFY_IDENTITY", ",".join(self.identities))]


class Signer(Protocol):
    """What signs versions."""

    def sign(self, folder: Path) -> None:
        """Add the signature to a folder."""


class KeySigner:
    """Signs folders with a key; `UserError` if the key cannot be used."""

    def __init__(self, key: Path, password: str = "", certificate: Path | None = None) -> None:
        from model_signing import signing

        if certificate and password:
            raise UserError(
                "SIGNING_PASSWORD is set, but a key that has a certificate is read without password: write the key "
                "without encryption, or unset SIGNING_CERTIFICATE."
            )
        self._config = signing.Config()
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
        write(self._config, folder)


class Verifier:
    """Verifies signatures; any of the trusted keys, authorities and identities may have signed."""

    def __init__(self, trusted: TrustedSigners) -> None:
        """Open the keys, and get the roots of trust of the Sigstore; `UserError` where that fails."""
        self._trusted = trusted
        self._configs = _by_keys(trusted.keys) if trusted.keys else []
        if trusted.identities:
            self._configs += _by_identities(trusted)

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
            if other := OTHER_IDENTITY.search(text):
                return f"{other[1]} signed it, who is not in {self._trusted.variables}"
            if other := OTHER_ISSUER.search(text):
                return f"{other[1]} vouches for who signed it, which is not VERIFY_ISSUER={self._trusted.issuer}"
        return f"its signature is none of {self._trusted.variables}"


def write(config: signing.Config, folder: Path) -> None:
    """Write the signature of a folder's files into it."""
    (folder / FILE).unlink(missing_ok=True)
    config.set_hashing_config(_hashing()).sign(folder, folder / FILE)


def _by_keys(trusted: Path) -> list[verifying.Config]:
    """Return what verifies by the public keys, or the authorities' certificates, of a file."""
    from model_signing import verifying

    configs = []
    try:
        text = trusted.read_text(encoding="utf-8", errors="replace")
        if "-----BEGIN CERTIFICATE-----" in text:
            return [verifying.Config().use_certificate_verifier(certificate_chain=[trusted])]
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "key"
            for key in PUBLIC_KEY.findall(text):
                file.write_text(key)
                configs.append(verifying.Config().use_elliptic_key_verifier(public_key=file))
    except OSError as error:
        raise UserError(f"VERIFY_KEY={trusted}: {error.strerror}; {MAKE_A_KEY}.") from error
    except (ValueError, TypeError, AttributeError):
        configs = []
    if not configs:
        raise UserError(
            f"VERIFY_KEY={trusted} has no public key on the curve P-256, P-384 or P-521, and no certificate, in "
            f"PEM; {MAKE_A_KEY}."
        )
    return configs


def _by_identities(trusted: TrustedSigners) -> list[verifying.Config]:
    """Return what verifies by identities, of which each has a configuration."""
    from model_signing import verifying

    with sigstore_errors(trusted.sigstore):
        return [
            verifying.Config().use_sigstore_verifier(
                identity=identity, oidc_issuer=trusted.issuer, trust_config=trusted.sigstore
            )
            for identity in trusted.identities
        ]


@contextmanager
def sigstore_errors(trust_config: Path | None) -> Iterator[None]:
    """Raise a `UserError` where the roots of trust and the addresses of a Sigstore cannot be read or fetched."""
    from sigstore.errors import Error

    try:
        yield
    except (Error, OSError, ValueError) as error:
        if trust_config is None:
            raise UserError(
                f"The roots of trust of Sigstore cannot be fetched ({error}): see that this machine reaches "
                "tuf-repo-cdn.sigstore.dev, or set SIGSTORE_TRUST_CONFIG to the trust config of a private Sigstore."
            ) from error
        reason = error.strerror if isinstance(error, OSError) else f"no trust config of a Sigstore ({error})"
        raise UserError(f"SIGSTORE_TRUST_CONFIG={trust_config}: {reason}; see docs/signing.md.") from error


def _hashing() -> hashing.Config:
    """Return that every file counts; by default the library leaves out those of git."""
    from model_signing import hashing

    return hashing.Config().use_file_serialization().set_ignored_paths(paths=[FILE], ignore_git_paths=False)
