"""Trust: what signs versions, which versions the store admits, and who approves, by the settings."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .. import config
from ..toolkit.common.errors import UserError
from ..toolkit.release.admission import Admission
from ..toolkit.release.approval import ApprovalRules
from ..toolkit.release.store import Store
from ..toolkit.version.keyless import KeylessSigner
from ..toolkit.version.signature import KeySigner, Signer, TrustedSigners, Verifier


def model_store(settings: config.Settings) -> Store:
    """Return the store of the settings, which admits the versions that they trust."""
    admission = Admission(
        settings.model_name,
        trusted_signers(settings),
        allow_pickle=allows_pickle(settings),
        approvals=approval_rules(settings),
    )
    return Store(settings.store, admission)


def trusted_signers(settings: config.Settings) -> TrustedSigners:
    """Return whose signatures count; nobody's are needed where the settings name none."""
    identities = tuple(name.strip() for name in settings.verify_identity.split(",") if name.strip())
    return TrustedSigners(settings.verify_key, identities, settings.verify_issuer, settings.sigstore_trust_config)


def allows_pickle(settings: config.Settings) -> bool:
    """Whether a version that is a pickle needs no signature."""
    # A command in an image, such as a sync beside the service, is not local whatever TARGET says there.
    return settings.allow_pickle or (settings.target == "local" and "IMAGE_ENVIRONMENT" not in os.environ)


def approval_rules(settings: config.Settings) -> ApprovalRules:
    """Return which approval the settings require; FOUR_EYES means that one is."""
    return ApprovalRules(settings.approval_required or settings.four_eyes, settings.four_eyes)


def signer(settings: config.Settings) -> Signer | None:
    """Return what signs versions, None if nothing is set that does; `UserError` if its versions would be refused."""
    trusted = trusted_signers(settings)
    if settings.signing_key and settings.signing_keyless:
        raise UserError(f"SIGNING_KEY={settings.signing_key} and SIGNING_KEYLESS are both set: unset one of them.")
    if settings.signing_key:
        return _key_signer(settings, settings.signing_key, trusted)
    if settings.signing_keyless:
        return KeylessSigner(trusted)
    if trusted:
        raise UserError(
            f"{trusted} is set, so a version that is not signed is refused, and neither SIGNING_KEY nor "
            f"SIGNING_KEYLESS is. Set one of them, or unset {trusted.variables} for this training."
        )
    return None


def _key_signer(settings: config.Settings, key: Path, trusted: TrustedSigners) -> KeySigner:
    made = KeySigner(key, settings.signing_password.get_secret_value(), settings.signing_certificate)
    if trusted:
        with tempfile.TemporaryDirectory() as folder:
            made.sign(Path(folder))
            if Verifier(trusted).problem(Path(folder)):
                raise UserError(
                    f"{trusted} refuses what SIGNING_KEY={key} signs: set VERIFY_KEY to the public key of that one, or "
                    "to the authority of SIGNING_CERTIFICATE."
                )
    return made
