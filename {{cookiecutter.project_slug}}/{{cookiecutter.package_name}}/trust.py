"""Trust: the key that versions are signed with, which versions the store admits, and who approves, by the settings."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from . import config
from .toolkit.common.errors import UserError
from .toolkit.release.admission import Admission
from .toolkit.release.approval import ApprovalRules
from .toolkit.release.store import Store
from .toolkit.version.signature import Signer, Verifier


def model_store(settings: config.Settings) -> Store:
    """Return the store of the settings, which admits the versions that they trust."""
    admission = Admission(
        settings.model_name,
        settings.verify_key,
        allow_pickle=allows_pickle(settings),
        approvals=approval_rules(settings),
    )
    return Store(settings.store, admission)


def allows_pickle(settings: config.Settings) -> bool:
    """Whether a version that is a pickle needs no signature."""
    # A command in an image, such as a sync beside the service, is not local whatever TARGET says there.
    return settings.allow_pickle or (settings.target == "local" and "IMAGE_ENVIRONMENT" not in os.environ)


def approval_rules(settings: config.Settings) -> ApprovalRules:
    """Return which approval the settings require; FOUR_EYES means that one is."""
    return ApprovalRules(settings.approval_required or settings.four_eyes, settings.four_eyes)


def signer(settings: config.Settings) -> Signer | None:
    """Return what signs versions, None without SIGNING_KEY; `UserError` if its versions would be refused."""
    if settings.signing_key is None:
        if settings.verify_key:
            raise UserError(
                f"VERIFY_KEY={settings.verify_key} is set, so a version that is not signed is refused, and SIGNING_KEY "
                "is not. Set it, or unset VERIFY_KEY for this training."
            )
        return None
    password = settings.signing_password.get_secret_value()
    made = Signer(settings.signing_key, password, settings.signing_certificate)
    if settings.verify_key:
        with tempfile.TemporaryDirectory() as folder:
            made.sign(Path(folder))
            if Verifier(settings.verify_key).problem(Path(folder)):
                raise UserError(
                    f"VERIFY_KEY={settings.verify_key} refuses what SIGNING_KEY={settings.signing_key} signs: set the "
                    "public key of that one, or the authority of SIGNING_CERTIFICATE."
                )
    return made
