"""Queries to a Prometheus that scrapes the service, by its HTTP API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import requests

from ..common.errors import UserError

TIMEOUT_SECONDS = 10


class Series(NamedTuple):
    """One series of an answer: its labels, and its value now."""

    labels: Mapping[str, str]
    value: float


class PrometheusError(UserError):
    """A Prometheus did not answer, or had an error of its own: trying again may help."""


class PrometheusApi:
    """Asks one Prometheus; a user and a password may stand in its address."""

    def __init__(self, address: str) -> None:
        if not address.startswith(("http://", "https://")):
            raise UserError(f"PROMETHEUS_URL={address}: the address must begin with http:// or https://")
        self._address = address.rstrip("/")

    def query(self, expression: str) -> list[Series]:
        """Return the series of an expression, an instant vector, as they are now.

        `PrometheusError` if no answer comes within `TIMEOUT_SECONDS`; `UserError` if the expression or the credentials
        are rejected.
        """
        result = self._ask(expression)
        return [Series(one["metric"], float(one["value"][1])) for one in result]

    def _ask(self, expression: str) -> list[dict[str, Any]]:
        try:
            # By POST, since a long expression does not fit into every proxy's limit of an address.
            answer = requests.post(
                f"{self._address}/api/v1/query",
                data={"query": expression, "timeout": f"{TIMEOUT_SECONDS}s"},
                timeout=TIMEOUT_SECONDS + 2,
            )
        except requests.RequestException as error:
            raise PrometheusError(
                f"Prometheus at {self._address} (PROMETHEUS_URL) does not answer ({type(error).__name__}). Is it up, "
                "and reachable from here?"
            ) from error
        if answer.status_code in (401, 403):
            raise UserError(
                f"Prometheus at {self._address} (PROMETHEUS_URL) rejects the credentials ({answer.status_code}). Write "
                "them into the address: https://user:password@host"
            )
        try:
            content = answer.json()
            if content["status"] == "success" and content["data"]["resultType"] == "vector":
                result: list[dict[str, Any]] = content["data"]["result"]
                return result
            reason = str(content.get("error") or f"a {content['data']['resultType']}, not a vector")
        except (ValueError, KeyError, TypeError, AttributeError):
            reason = f"no answer of a Prometheus, but {answer.text[:100]!r}"
        kind = PrometheusError if answer.status_code >= 500 or answer.status_code == 429 else UserError
        raise kind(f"Prometheus at {self._address} (PROMETHEUS_URL) answers {answer.status_code}: {reason}")
