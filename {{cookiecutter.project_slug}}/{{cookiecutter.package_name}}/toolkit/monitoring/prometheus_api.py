"""Queries to a Prometheus that scrapes the service, by its HTTP API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import httpx

from ..common import bounded_http
from ..common.errors import UserError

TIMEOUT_SECONDS = 10
#: Of an answer; a thousand series take some hundred kilobytes.
MOST_BYTES = 50_000_000


class Series(NamedTuple):
    """One series of an answer: its labels, and its value now."""

    labels: Mapping[str, str]
    value: float


class Alert(NamedTuple):
    """One alert that fires: its name, labels and summary, the value of its expression, and since when that holds."""

    name: str
    labels: Mapping[str, str]
    summary: str
    value: str
    since: datetime


class PrometheusError(UserError):
    """A Prometheus did not answer, or had an error of its own: trying again may help."""


class PrometheusApi:
    """Asks one Prometheus; a user and a password may stand in its address."""

    def __init__(self, address: str) -> None:
        if not address.startswith(("http://", "https://")):
            raise UserError(f"PROMETHEUS_URL={address}: the address must begin with http:// or https://")
        self._address = address.rstrip("/")
        self._name = f"Prometheus at {self._address} (PROMETHEUS_URL)"

    def query(self, expression: str) -> list[Series]:
        """Return the series of an expression, an instant vector, as they are now.

        `PrometheusError` if no answer comes within `TIMEOUT_SECONDS`; `UserError` if the expression or the credentials
        are rejected.
        """
        # By POST, since a long expression does not fit into every proxy's limit of an address.
        data = self._ask("POST", "query", {"query": expression, "timeout": f"{TIMEOUT_SECONDS}s"})
        if data.get("resultType") != "vector":
            raise UserError(f"{self._name} answers 200: a {data.get('resultType')}, not a vector")
        try:
            return [Series(one["metric"], float(one["value"][1])) for one in data["result"]]
        except (LookupError, TypeError, ValueError) as error:
            raise UserError(f"{self._name} answers series that cannot be read ({error!r})") from error

    def alerts(self) -> list[Alert]:
        """Return the alerts that fire now; errors are those of `query`."""
        data = self._ask("GET", "alerts")
        try:
            return [_alert(one) for one in data["alerts"] if one["state"] == "firing"]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{self._name} answers alerts that cannot be read ({error!r})") from error

    def _ask(self, method: str, path: str, form: dict[str, str] | None = None) -> dict[str, Any]:
        """Return the object `data` of an answer."""
        try:
            answer = bounded_http.ask(
                method,
                f"{self._address}/api/v1/{path}",
                httpx.Timeout(TIMEOUT_SECONDS + 2),
                MOST_BYTES,
                follow_redirects=True,
                data=form,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PrometheusError(
                f"{self._name} does not answer ({type(error).__name__}). Is it up, and reachable from here?"
            ) from error
        if answer.status_code in (401, 403):
            raise UserError(
                f"{self._name} rejects the credentials ({answer.status_code}). Write them into the address: "
                "https://user:password@host"
            )
        try:
            content = answer.json()
            if content["status"] == "success" and isinstance(content["data"], dict):
                return dict(content["data"])
            reason = str(content["error"])
        except (ValueError, LookupError, TypeError, AttributeError):
            reason = f"no answer of a Prometheus, but {answer.text[:100]!r}"
        kind = PrometheusError if answer.status_code >= 500 or answer.status_code == 429 else UserError
        raise kind(f"{self._name} answers {answer.status_code}: {reason}")


def _alert(content: dict[str, Any]) -> Alert:
    labels = {str(name): str(value) for name, value in content["labels"].items()}
    since = datetime.fromisoformat(content["activeAt"])
    if since.tzinfo is None:
        raise ValueError(f"activeAt {content['activeAt']} without its zone")
    summary = content.get("annotations", {}).get("summary", "")
    return Alert(labels["alertname"], labels, str(summary), str(content.get("value", "")), since)
