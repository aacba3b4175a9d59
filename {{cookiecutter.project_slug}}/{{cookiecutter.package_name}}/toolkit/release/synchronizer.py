"""Synchronization: reconcile a store with the registry again and again, while a service runs over the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from ..common import console
from ..common.errors import UserError
from ..registry.client import Registry, connect
from ..registry.errors import mlflow_errors
from .reconcile import reconcile
from .store import Release, Store
from .warm_file import WarmFile
from .warmer import Warmer

#: The longest pause in seconds between two rounds while they fail.
LONGEST_PAUSE = 60.0


class Synchronizer:
    """Keeps a store in sync with a registry, one round at a time; never waits itself."""

    def __init__(
        self,
        tracking_uri: str,
        model_name: str,
        store: Store,
        *,
        interval: float,
        grace: float,
        rollback_seconds: float = 0,
        watch: Callable[[Registry], None] | None = None,
        deploy: Callable[[Release], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uri, self._model_name, self._store = tracking_uri, model_name, store
        self._interval, self._grace, self._clock = interval, grace, clock
        #: Called before each round: may move the champion, which the round then follows.
        self._watch = watch
        #: Called with the release in each round: brings what runs elsewhere in sync with it.
        self._deploy = deploy
        self._registry: Registry | None = None
        self._warmer, self._warm = Warmer(store, rollback_seconds, pull=True), WarmFile(store.root)
        self._pause, self._reported = interval, ""
        self._shown: datetime | None = None
        #: Versions that are not part of the release, with the time at which that was first seen.
        self._unused: dict[int, float] = {}

    def step(self) -> float:
        """Do one round, report a new problem, and return the seconds until the next round."""
        try:
            self.round()
        except UserError as error:
            self._report(str(error))
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        else:
            self._reported, self._pause = "", self._interval
        return self._pause

    def round(self) -> None:
        """Reconcile once and remove unused versions; `UserError` after the problem was written to the store."""
        try:
            release = self._reconcile()
            self._show(release)
            if self._deploy:
                self._deploy(release)
            self._remove_unused(release)
        except (UserError, OSError) as error:
            problem = _problem(error, self._store)
            with suppress(OSError):
                self._store.set_problem(problem)
            raise UserError(problem) from error

    def _reconcile(self) -> Release:
        self._registry = self._registry or connect(self._uri, self._model_name)
        with mlflow_errors(self._uri):
            if self._watch:
                self._watch(self._registry)
            return reconcile(self._registry, self._store, self._warmer)

    def _show(self, release: Release) -> None:
        if release.created != self._shown:
            console.say(f"{release.created:%H:%M:%S}  {release.model}: {release.summary()}")
        self._shown = release.created

    def _report(self, problem: str) -> None:
        if problem != self._reported:
            console.say(f"{problem}\nWhat runs is unchanged; trying again.")
        self._reported = problem

    def _remove_unused(self, release: Release) -> None:
        """Remove versions that were not part of the release for the grace time; a rollback before finds them."""
        now, warm = self._clock(), self._warm.read()
        for number in self._store.versions():
            if number in release.versions or (warm and number == warm.number):
                self._unused.pop(number, None)
            elif now - self._unused.setdefault(number, now) >= self._grace:
                self._store.remove(number)
                del self._unused[number]
                console.say(f"Removed version {number}, unused for {self._grace:g} s")


def _problem(error: UserError | OSError, store: Store) -> str:
    """Return the message of an error, the same each time: an OSError names scratch folders, whose names are random."""
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{store.root} cannot be updated: {reason}" if reason else str(error)
