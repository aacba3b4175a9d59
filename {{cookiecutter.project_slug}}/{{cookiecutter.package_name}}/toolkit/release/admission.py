"""Admission: which versions come into the store, and so may be loaded and served.

A version that is verified was signed by somebody trusted, as this model's version of the run that the registry names.
So a signature of another version, or of another model, does not pass, whoever may write to the registry's files and
tags: MLflow does not let anybody change the run of a version.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.errors import UserError
from ..version import formats
from ..version.artifact import DETAILS, pickles
from ..version.signature import TrustedSigners, Verifier
from .approval import ApprovalRules

if TYPE_CHECKING:
    from ..registry.client import RegisteredVersion


NOBODY = TrustedSigners()


class Admission:
    """What a version must be to come into the store; by default everything may."""

    def __init__(
        self,
        model: str = "",
        trusted: TrustedSigners = NOBODY,
        *,
        allow_pickle: bool = True,
        approvals: ApprovalRules | None = None,
    ) -> None:
        self._model, self._trusted, self._allow_pickle = model, trusted, allow_pickle
        #: What the champion of a release must have, beside files that are admitted.
        self.approvals = approvals or ApprovalRules()

    def check(self, version: RegisteredVersion, folder: Path) -> None:
        """Raise `UserError` if the version in a folder may not come into the store."""
        if self._trusted:
            if problem := self._verifier.problem(folder) or self._mismatch(version, folder):
                raise UserError(
                    f"Version {version.number} is refused, since {problem}, and {self._trusted} is set. Promote "
                    "a version that is signed, or train a new one with SIGNING_KEY or SIGNING_KEYLESS."
                )
        elif not self._allow_pickle and (files := pickles(folder)):
            raise UserError(
                f"Version {version.number} is refused, since {' and '.join(files)} can run any code when opened, and "
                "nobody has signed it. Sign versions and set who may sign (docs/signing.md), or set ALLOW_PICKLE=1 if "
                "only people whom you trust can write to the registry."
            )

    @cached_property
    def _verifier(self) -> Verifier:
        return Verifier(self._trusted)

    def _mismatch(self, version: RegisteredVersion, folder: Path) -> str:
        """Return in what a version that is signed differs from what the registry says, "" if in nothing."""
        details = formats.read(folder, DETAILS)
        signed, registered = (details.get("model_name"), details.get("run_id")), (self._model, version.run_id)
        if signed == registered:
            return ""
        return f"it was signed as one of {signed[0]} by run {signed[1]}, not of {self._model} by run {version.run_id}"
