"""Automatic rollback: for a while after a promotion, an alert of the new champion brings the previous champion back.

Which alerts do, their own rules say: those with the label `rollback: "true"` in monitoring/rules.yml.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ..common import console
from ..common.errors import UserError
from ..common.names import CHAMPION, ROLLBACK_CLAIM
from ..monitoring.prometheus_api import Alert, PrometheusApi
from ..monitoring.version_counts import job_selector
from ..registry import history
from ..registry.client import Registry
from ..registry.errors import mlflow_errors
from ..registry.history import Event
from ..registry.identity import Person
from ..release.approval import ApprovalRules
from ..release.rollback import previous_champion, roll_back

#: Who rolls back, in the history.
AUTOMATIC = Person("automatic rollback", confirmed=False)
#: Seconds until a Prometheus that did not answer is asked again: a slow one must not hold up what follows the registry.
PAUSE_SECONDS = 60
#: Seconds in which others who follow the registry may claim the same rollback.
CLAIM_SECONDS = 1


class RollbackWatch:
    """Looks at the alerts while a promotion is recent; at most one rollback follows a promotion."""

    def __init__(
        self,
        prometheus: PrometheusApi,
        approvals: ApprovalRules,
        seconds: float,
        *,
        job: str = "",
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """`seconds` is how long a promotion is recent, `job` the label of this model's service in Prometheus."""
        self._prometheus, self._approvals, self._job = prometheus, approvals, job
        self._seconds, self._clock, self._wait = timedelta(seconds=seconds), clock, wait
        self._ask_at, self._reported = 0.0, ""

    def __call__(self, registry: Registry) -> None:
        """Do one round; what goes wrong is said once, but for errors of MLflow before an alert was found."""
        moves = history.champion_moves(registry.tags())
        if not moves or not self._is_watched(moves[-1]) or self._clock() < self._ask_at:
            return
        promotion, found = moves[-1], None
        try:
            found = self._alert(promotion)
        except UserError as error:
            self._ask_at = self._clock() + PAUSE_SECONDS
            self._report(f"The alerts of version {promotion.target} are not known: {error}")
            return
        if found is None:
            self._reported = ""
            return
        try:
            with mlflow_errors(registry.uri):
                self._roll_back(registry, moves, found)
        except UserError as error:
            self._report(f"{found.name} fires for version {promotion.target}, which is not rolled back: {error}")

    def _is_watched(self, event: Event) -> bool:
        """Whether an event is a promotion of late; a time in the future is of a clock that is wrong."""
        promoted = event.action in (history.PROMOTED, history.FORCED)
        return promoted and event.moment is not None and abs(datetime.now(UTC) - event.moment) < self._seconds

    def _alert(self, promotion: Event) -> Alert | None:
        """Return the first alert that began since a promotion, for the version that was promoted; None without one."""
        wanted = {"rollback": "true", "version": str(promotion.target)} | ({"job": self._job} if self._job else {})
        found = [
            alert
            for alert in self._prometheus.alerts()
            if wanted.items() <= alert.labels.items() and promotion.moment and alert.since >= promotion.moment
        ]
        if found:
            # Another model may have a version of this number.
            job_selector(self._prometheus, self._job)
        return min(found, key=lambda alert: alert.since, default=None)

    def _roll_back(self, registry: Registry, moves: list[Event], alert: Alert) -> None:
        """Roll the champion back, unless somebody else has, or does at this moment."""
        promoted = moves[-1].target
        if self._champion(registry) != promoted:
            return
        previous = previous_champion(registry)
        if self._failed_of_late(moves, previous):
            raise UserError(
                f"version {previous} before it was itself rolled back by an alert. Choose a version yourself: "
                "make promote VERSION=n"
            )
        if not self._claim(registry) or self._champion(registry) != promoted:
            return
        why = f"alert {alert.name} since {alert.since:%H:%M:%S} UTC: {alert.summary} (value {alert.value})"
        console.say(roll_back(registry, self._approvals, why, AUTOMATIC).sentence())
        self._reported = ""

    def _failed_of_late(self, moves: list[Event], version: int) -> bool:
        """Whether an alert has rolled a version back of late: it must not come again by itself."""
        since = datetime.now(UTC) - self._seconds
        return any(
            (event.who, event.action, event.source) == (AUTOMATIC.name, history.ROLLED_BACK, version)
            and event.moment is not None
            and event.moment >= since
            for event in moves
        )

    def _champion(self, registry: Registry) -> int | None:
        found = registry.find(CHAMPION)
        return found.number if found else None

    def _claim(self, registry: Registry) -> bool:
        """Whether this process is the one that rolls back: of several, the one that wrote last.

        MLflow cannot set an alias only if it is still what it was.
        """
        token = secrets.token_hex(8)
        registry.set_tag(ROLLBACK_CLAIM, token)
        self._wait(CLAIM_SECONDS)
        return registry.tags().get(ROLLBACK_CLAIM) == token

    def _report(self, problem: str) -> None:
        if problem != self._reported:
            console.say(problem)
        self._reported = problem
