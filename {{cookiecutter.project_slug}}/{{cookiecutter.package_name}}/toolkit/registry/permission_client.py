"""The permission check as MLflow's REST API answers it: may the sender of these credentials read a registered model?"""

from __future__ import annotations

import os
import re
import ssl
from functools import cached_property
from http.cookiejar import DefaultCookiePolicy
from time import monotonic
from typing import Any
from urllib.parse import quote

import httpx


class PermissionCheckError(Exception):
    """MLflow gave no clear answer; the message says what came instead."""


class PermissionClient:
    """Asks one MLflow server about one registered model, each time with the caller's own credentials."""

    def __init__(self, server: str, model: str, *, timeout: float, recheck_seconds: float) -> None:
        # The address may hold the service's own credentials. httpx would send them in place of the caller's.
        self.server = re.sub("(?<=://)[^/]*@", "", server.rstrip("/"))
        self._url = f"{self.server}/api/2.0/mlflow/registered-models/get?name={quote(model, safe='')}"
        self._model, self._timeout, self._recheck_seconds = model, timeout, recheck_seconds
        #: Until when the server is known to reject calls without credentials, by the monotonic clock.
        self._auth_confirmed_until = float("-inf")

    async def status(self, authorization: bytes) -> int:
        """Return 200 if the sender of an Authorization header may read the model, else MLflow's 401 or 403.

        Anything else raises `PermissionCheckError`: nobody is authorized by an unclear answer.
        """
        try:
            await self._check_server_requires_auth()
            response = await self._http.get(self._url, headers={b"authorization": authorization})
        except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise PermissionCheckError(str(error) or f"no answer ({type(error).__name__})") from error
        status = response.status_code
        if status == 401 or (status == 403 and "Invalid Host header" not in response.text):
            return status
        if status == 200 and _model_name(response) == self._model:
            return 200
        text = " ".join(response.text[:200].split())
        raise PermissionCheckError(f"it answered {status}: {text or '(empty)'}")

    async def _check_server_requires_auth(self) -> None:
        """Raise if MLflow answers calls without credentials too: its 200 would then mean nothing."""
        if monotonic() < self._auth_confirmed_until:
            return
        if (await self._http.get(self._url)).status_code == 200:
            raise PermissionCheckError(
                "it requires no credentials, so anyone would be authorized. Start it with --app-name basic-auth, or "
                "choose AUTH=token"
            )
        self._auth_confirmed_until = monotonic() + self._recheck_seconds

    @cached_property
    def _http(self) -> httpx.AsyncClient:
        client = httpx.AsyncClient(verify=_tls(), timeout=self._timeout)
        # A session that MLflow opens for one caller must not authenticate the next.
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return client


def _model_name(response: httpx.Response) -> Any:
    """Return the model that a response is about, None if it is something else, such as a proxy's page."""
    try:
        return response.json()["registered_model"]["name"]
    except (ValueError, TypeError, KeyError):
        return None


def _tls() -> ssl.SSLContext | bool:
    """Return how a server's certificate is verified, by the same variables as in MLflow's own client."""
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    path = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    return ssl.create_default_context(cafile=path) if path else True
