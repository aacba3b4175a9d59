"""The question before production is changed."""

from __future__ import annotations

import os
import sys

from ....common.errors import UserError
from .kubectl import Kubectl


def confirm(kubectl: Kubectl, overlay: str, what: str, *, given: bool) -> None:
    """Ask before production is changed; `UserError` if nobody can answer or the answer is no."""
    if overlay != "production" or given or os.environ.get("CI"):
        return
    where = f"{kubectl.context or 'the current context'}, namespace {kubectl.namespace}"
    if not sys.stdin.isatty():
        raise UserError(f"This would {what} in production ({where}), and nobody is here to confirm: set YES=1")
    if input(f"In production ({where}): {what}? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UserError("Nothing was changed")
