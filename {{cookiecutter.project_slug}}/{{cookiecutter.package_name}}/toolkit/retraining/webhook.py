"""Any webhook: a JSON body, made of the request, or of a template whose texts have placeholders such as ${reason}.

A template is read as JSON before anything is put in, so that a value never becomes a part of its structure.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..common.errors import UserError
from .request import Request, Start
from .sending import Service

PLACEHOLDER = re.compile(r"\$\{(\w*)\}")
CURES = {
    400: "the service does not take this body; RETRAIN_TEMPLATE names a file with another",
    401: "RETRAIN_TOKEN is wrong or has expired; it is sent as Authorization: Bearer",
    403: "the token may not do this",
    404: "nothing is there: check RETRAIN_URL",
    422: "the service does not take this body; RETRAIN_TEMPLATE names a file with another",
}


class Webhook:
    """An address that takes a POST of JSON."""

    name = "webhook"

    def __init__(self, url: str, token: str = "", template: Path | None = None, **options: Any) -> None:
        if not url:
            raise UserError("RETRAIN_URL is not set: RETRAIN_TRIGGER=webhook posts to it.")
        self._service = Service("The webhook", url, token, CURES, **options)
        self._template = _read(template) if template else None

    def start(self, request: Request, claim: str) -> Start:
        """Post the request."""
        values = request._asdict() | {"claim": claim}
        headers = {"Idempotency-Key": claim}
        if self._service.secret:
            headers["Authorization"] = f"Bearer {self._service.secret}"
        answer = self._service.send(
            "POST", json=values if self._template is None else _filled(self._template, values), headers=headers
        )
        return Start(f"the webhook answered with status {answer.status_code}")


def _read(path: Path) -> Any:
    """Return the JSON of a template; `UserError` if it is none, or has a placeholder that no request fills."""
    try:
        template = json.loads(path.read_text(encoding="utf-8"), parse_constant=_reject)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"RETRAIN_TEMPLATE={path} cannot be read as JSON: {error}") from None
    known = [*Request._fields, "claim"]
    unknown = sorted(set(PLACEHOLDER.findall(json.dumps(template, ensure_ascii=False))) - set(known))
    if unknown:
        raise UserError(
            f"RETRAIN_TEMPLATE={path}: ${{{unknown[0]}}} is no placeholder; there are: "
            + ", ".join(f"${{{name}}}" for name in known)
        )
    return template


def _reject(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _filled(part: Any, values: dict[str, Any]) -> Any:
    """Return a part of a template with values in its texts; a text that is one placeholder becomes the value itself."""
    if isinstance(part, dict):
        return {key: _filled(value, values) for key, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, values) for value in part]
    if not isinstance(part, str):
        return part
    if whole := PLACEHOLDER.fullmatch(part):
        return values[whole[1]]
    return PLACEHOLDER.sub(lambda found: _text(values[found[1]]), part)


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
