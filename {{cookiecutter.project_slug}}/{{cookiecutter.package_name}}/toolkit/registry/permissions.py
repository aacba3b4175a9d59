"""Callers who may read the model in MLflow: that server is asked, with the caller's own credentials.

Its word is kept for a while, by a digest of the credentials. Whatever is not a clear yes lets nobody in.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import secrets
import ssl
from functools import cached_property
from http.cookiejar import DefaultCookiePolicy
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from ..common.errors import RejectedError, UserError

#: How long MLflow may take, waiting for a turn included.
TIMEOUT_SECONDS = 5.0
#: How long a refusal is kept, at most, and how long MLflow is left alone after it gave no answer.
REFUSED_SECONDS, UNVERIFIED_SECONDS = 10.0, 1.0
#: MLflow spends half a second of computing on each password, so few are put before it at a time; those that it has
#: accepted before have turns of their own, which a flood of wrong ones cannot take.
TURNS = 4
#: Callers that wait for a turn; more are refused at once.
WAITING = 100
#: Verdicts kept; the oldest is forgotten first.
KEPT = 10_000
#: At most one line a minute in the log, however many callers cannot be verified.
QUIET_SECONDS = 60.0

log = logging.getLogger(__name__)


class Verdict(NamedTuple):
    """MLflow's word on a caller: 200, 401, 403, or 503 if it gave none; good until a time of the monotonic clock."""

    status: int
    until: float


class UnverifiedError(Exception):
    """MLflow was asked and did not say clearly whether a caller may read the model."""


class Permissions:
    """Lets in whose credentials may read the registered model."""

    option = '-u "$MLFLOW_TRACKING_USERNAME:$MLFLOW_TRACKING_PASSWORD"'
    statuses: tuple[int, ...] = (401, 403, 503)

    def __init__(self, server: str, model: str, seconds: float) -> None:
        # The address may hold the service's own credentials. httpx would send them in place of the caller's.
        self._server = re.sub("(?<=://)[^/]*@", "", server.rstrip("/"))
        self._url = f"{self._server}/api/2.0/mlflow/registered-models/get?name={quote(model, safe='')}"
        self._model, self._seconds = model, seconds
        self.words = f"Whoever may read {model} in MLflow at {self._server} may call it (AUTH=mlflow)."
        self.schemes = {"basic": "user and password in MLflow", "bearer": "a token that MLflow takes"}
        self.problem = ""
        self._salt = secrets.token_bytes(32)
        # Apart, so that a flood of wrong credentials cannot drive out good ones.
        self._accepted: dict[bytes, Verdict] = {}
        self._refused: dict[bytes, Verdict] = {}
        self._asked: dict[bytes, asyncio.Task[Verdict]] = {}
        self._strangers, self._regulars = asyncio.Semaphore(TURNS), asyncio.Semaphore(TURNS)
        self._closed_until = self._logged = float("-inf")

    def load(self) -> None:
        """Check that there is a server to ask; it need not answer yet."""
        if not self._server.startswith(("http://", "https://")):
            raise UserError(
                f"AUTH=mlflow lets in who may read the model on an MLflow server, and MLFLOW_TRACKING_URI is "
                f"{self._server}: set it to the address of a server with --app-name basic-auth, or choose AUTH=token."
            )

    async def verify(self, authorization: bytes) -> None:
        """Return if the sender may read the model; `RejectedError` 401, 403, or 503 if MLflow does not say."""
        scheme, _, credentials = authorization.partition(b" ")
        if scheme.lower() not in (b"basic", b"bearer") or not credentials:
            raise self._refusal(401)
        key, now = hashlib.blake2b(authorization, key=self._salt).digest(), monotonic()
        accepted, refused = self._accepted.get(key), self._refused.get(key)
        if refused and refused.until <= now:
            refused = None
        if accepted and accepted.until > now:
            # Asked again ahead of time, so that those who call all the time never wait for MLflow.
            if accepted.until - now < self._seconds / 4 and not refused:
                self._ask(key, authorization)
            return
        status = refused.status if refused else await self._answered(key, authorization)
        if status != 200:
            raise self._refusal(status)

    async def _answered(self, key: bytes, authorization: bytes) -> int:
        if len(self._asked) >= WAITING and key not in self._asked and key not in self._accepted:
            return 503
        # One caller who hangs up must not take the answer from the others who wait for it.
        return (await asyncio.shield(self._ask(key, authorization))).status

    def _ask(self, key: bytes, authorization: bytes) -> asyncio.Task[Verdict]:
        """Return the call to MLflow that is under way for some credentials, or begin it."""
        if key not in self._asked:
            task = self._asked[key] = asyncio.create_task(self._judge(key, authorization))
            task.add_done_callback(lambda _: self._asked.pop(key))
        return self._asked[key]

    async def _judge(self, key: bytes, authorization: bytes) -> Verdict:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self._regulars if key in self._accepted else self._strangers:
                status = await self._status(authorization)
            self.problem = ""
        except (OSError, httpx.HTTPError, httpx.InvalidURL, UnverifiedError) as error:  # TimeoutError is an OSError
            self._report(str(error) or f"no answer within {TIMEOUT_SECONDS:g} s")
            status = 503
        seconds = {200: self._seconds, 503: UNVERIFIED_SECONDS}.get(status, min(REFUSED_SECONDS, self._seconds))
        verdict = Verdict(status, monotonic() + seconds)
        if status == 200:
            self._refused.pop(key, None)
            _keep(self._accepted, key, verdict)
        else:
            if status != 503:
                self._accepted.pop(key, None)
            _keep(self._refused, key, verdict)
        return verdict

    async def _status(self, authorization: bytes) -> int:
        """Return 200, 401 or 403 as MLflow says; `UnverifiedError` for anything else."""
        await self._check_closed()
        answer = await self._client.get(self._url, headers={b"authorization": authorization})
        if answer.status_code == 401 or (answer.status_code == 403 and "Invalid Host header" not in answer.text):
            return answer.status_code
        if answer.status_code == 200 and _named(answer) == self._model:
            return 200
        text = " ".join(answer.text[:200].split())
        raise UnverifiedError(f"it answers {answer.status_code}: {text or 'nothing'}")

    async def _check_closed(self) -> None:
        """Raise if MLflow answers callers without credentials too: its yes would then mean nothing."""
        if monotonic() < self._closed_until:
            return
        if (await self._client.get(self._url)).status_code == 200:
            raise UnverifiedError(
                "it lets anyone read the model, and so would let anyone call it. Start it with --app-name basic-auth, "
                "or choose AUTH=token"
            )
        self._closed_until = monotonic() + self._seconds

    def _report(self, text: str) -> None:
        self.problem = f"MLflow at {self._server} was asked who may call, and {text}."
        if monotonic() - self._logged > QUIET_SECONDS:
            self._logged = monotonic()
            log.error("%s Callers are answered with 503 until it says.", self.problem)

    def _refusal(self, status: int) -> RejectedError:
        reasons = {
            401: "credentials are needed that MLflow accepts: user and password (Basic), or a token (Bearer)",
            403: f"these credentials do not permit to read {self._model} in MLflow, and so not to call it",
            503: "it cannot be verified at present who may call, since MLflow does not say; try again later",
        }
        return RejectedError(status, reasons[status])

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        client = httpx.AsyncClient(verify=_tls(), timeout=TIMEOUT_SECONDS)
        # A session that MLflow opens for one caller must not speak for the next.
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return client


def _keep(verdicts: dict[bytes, Verdict], key: bytes, verdict: Verdict) -> None:
    verdicts.pop(key, None)
    verdicts[key] = verdict
    if len(verdicts) > KEPT:
        del verdicts[next(iter(verdicts))]


def _named(answer: httpx.Response) -> Any:
    """Return the model that an answer is about; a page of a proxy names none."""
    try:
        return answer.json()["registered_model"]["name"]
    except (ValueError, TypeError, KeyError):
        return None


def _tls() -> ssl.SSLContext | bool:
    """Return how an https server is checked, by the same variables as MLflow's own client."""
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    path = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    return ssl.create_default_context(cafile=path) if path else True
