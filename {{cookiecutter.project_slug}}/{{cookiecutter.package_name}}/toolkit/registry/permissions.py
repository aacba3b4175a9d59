"""Authorization by MLflow: callers who may read the registered model may call the service.

MLflow checks the caller's own credentials, and its answer is cached. Without a clear answer nobody is authorized.
The service imports this module, and is installed without MLflow.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic

from ..common.errors import RejectedError, UserError
from .decision_cache import AccessDecision, DecisionCache
from .permission_client import PermissionCheckError, PermissionClient

#: How long a permission check may take, waiting for its turn included.
TIMEOUT_SECONDS = 5.0
#: How long a rejection is cached, at most, and how long MLflow is not asked again after it gave no answer.
REJECTED_SECONDS, UNAVAILABLE_SECONDS = 10.0, 1.0
#: MLflow spends half a second of computing on each password, so few are checked at a time; credentials that it has
#: accepted before have turns of their own, which a flood of wrong ones cannot take.
CONCURRENT_CHECKS = 4
#: Credentials that wait for a check; more are rejected at once.
MAX_PENDING = 100
#: Accepted and rejected credentials in the cache, each.
CACHE_SIZE = 10_000
#: At most one line a minute in the log, however many checks fail.
LOG_SECONDS = 60.0

log = logging.getLogger(__name__)


class MlflowAuthenticator:
    """Authorizes callers whose credentials permit reading the registered model in MLflow."""

    curl_option = '-u "$MLFLOW_TRACKING_USERNAME:$MLFLOW_TRACKING_PASSWORD"'
    statuses: tuple[int, ...] = (401, 403, 503)

    def __init__(self, server: str, model: str, seconds: float) -> None:
        self._client = PermissionClient(server, model, timeout=TIMEOUT_SECONDS, recheck_seconds=seconds)
        self._model, self._seconds = model, seconds
        self.description = f"Callers need permission to read {model} in MLflow at {self._client.server} (AUTH=mlflow)."
        self.schemes = {"basic": "user and password in MLflow", "bearer": "a token that MLflow accepts"}
        self.problem = ""
        self._cache = DecisionCache(CACHE_SIZE)
        self._pending: dict[bytes, asyncio.Task[AccessDecision]] = {}
        self._known_turns = asyncio.Semaphore(CONCURRENT_CHECKS)
        self._new_turns = asyncio.Semaphore(CONCURRENT_CHECKS)
        self._logged = float("-inf")

    def load(self) -> None:
        """Check that the registry is a server; it need not answer yet."""
        if not self._client.server.startswith(("http://", "https://")):
            raise UserError(
                "AUTH=mlflow checks permissions on an MLflow server, and MLFLOW_TRACKING_URI is "
                f"{self._client.server}: set it to the address of a server with --app-name basic-auth, or choose "
                "AUTH=token."
            )

    async def verify(self, authorization: bytes) -> None:
        """Return if the sender may read the model; `RejectedError` 401, 403, or 503 if MLflow gave no answer."""
        scheme, _, credentials = authorization.partition(b" ")
        if scheme.lower() not in (b"basic", b"bearer") or not credentials:
            raise self._rejection(401)
        key = self._cache.key(authorization)
        accepted, rejected = self._cache.accepted(key), self._cache.rejected(key)
        if accepted:
            # Renewed ahead of time, so that those who call all the time never wait for MLflow.
            if accepted.expires - monotonic() < self._seconds / 4 and not rejected:
                self._start_check(key, authorization)
            return
        status = rejected.status if rejected else await self._status(key, authorization)
        if status != 200:
            raise self._rejection(status)

    async def _status(self, key: bytes, authorization: bytes) -> int:
        if len(self._pending) >= MAX_PENDING and key not in self._pending and not self._cache.is_known(key):
            return 503
        # A caller who disconnects must not take the answer from the others who wait for it.
        return (await asyncio.shield(self._start_check(key, authorization))).status

    def _start_check(self, key: bytes, authorization: bytes) -> asyncio.Task[AccessDecision]:
        """Return the check of these credentials that is under way, or start it."""
        if key not in self._pending:
            task = self._pending[key] = asyncio.create_task(self._ask_mlflow(key, authorization))
            task.add_done_callback(lambda _: self._pending.pop(key))
        return self._pending[key]

    async def _ask_mlflow(self, key: bytes, authorization: bytes) -> AccessDecision:
        """Ask MLflow, and cache what it decides."""
        turns = self._known_turns if self._cache.is_known(key) else self._new_turns
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), turns:
                status = await self._client.status(authorization)
            self.problem = ""
        except (TimeoutError, PermissionCheckError) as error:
            self._report(str(error) or f"no answer within {TIMEOUT_SECONDS:g} s")
            status = 503
        decision = AccessDecision(status, monotonic() + self._lifetime(status))
        self._cache.store(key, decision)
        return decision

    def _lifetime(self, status: int) -> float:
        """Return how many seconds a decision is cached."""
        if status == 503:
            return UNAVAILABLE_SECONDS
        return self._seconds if status == 200 else min(REJECTED_SECONDS, self._seconds)

    def _report(self, reason: str) -> None:
        self.problem = f"The permission check by MLflow at {self._client.server} failed: {reason}."
        if monotonic() - self._logged > LOG_SECONDS:
            self._logged = monotonic()
            log.error("%s Callers without a cached permission are rejected with 503 until it answers.", self.problem)

    def _rejection(self, status: int) -> RejectedError:
        reasons = {
            401: "MLflow credentials are missing or rejected: send user and password (Basic) or a token (Bearer)",
            403: f"these credentials have no permission to read {self._model} in MLflow, which this service requires",
            503: "the permission check is unavailable: MLflow gave no answer; try again later",
        }
        return RejectedError(status, reasons[status])
