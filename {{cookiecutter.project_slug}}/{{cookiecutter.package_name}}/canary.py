"""Canary: raise a challenger's traffic in steps; by what the service counts, it is promoted or loses it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import pairwise

from pydantic import ValidationError

from . import config
from .model import quality
from .shared import promotion, targets
from .shared.access import authorization
from .shared.reconciliation import reconciler
from .shared.trust import approval_rules, model_store
from .toolkit.canary import begin, following
from .toolkit.canary.canary import Canary, Outcome
from .toolkit.canary.comparison import Margins
from .toolkit.canary.counting import Counting, PrometheusCounting, ServiceCounting
from .toolkit.canary.ledger import Ledger, OpenRegistry
from .toolkit.canary.state import read
from .toolkit.canary.step import Plan, Surroundings
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.common.invalid_values import describe
from .toolkit.common.names import CHALLENGER, CHAMPION, GATES
from .toolkit.monitoring.prometheus_api import PrometheusApi
from .toolkit.monitoring.version_counts import scrape
from .toolkit.registry import canaries
from .toolkit.registry.client import Registry, connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.release.deployment_history import DeploymentHistory
from .toolkit.release.targets import Target
from .toolkit.release.warmer import Warmer

#: Where the traffic between versions can be split.
TARGETS = ("local", "docker", "kubernetes")


def run(settings: config.Settings, reference: str = "") -> Outcome:
    """Try a version, by number or alias, on rising shares of the traffic; `UserError` if it has to go back.

    Without a reference, the canary in progress goes on, or the challenger is tried.
    """
    plan, steps, open_registry = _plan(settings), _steps(settings.canary_steps), partial(_registry, settings)
    if settings.target not in TARGETS:
        raise UserError(
            f"TARGET={settings.target} answers with one version, so there is no canary: TARGET must be one of "
            f"{', '.join(TARGETS)}"
        )
    target = targets.target(settings)
    address = following.running(target).url
    counting = _counting(settings, address)
    with open_registry() as registry:
        if read(registry.tags()) is None:
            promotion.require_gates(settings, registry, registry.get(reference or CHALLENGER))
        state = begin.begin(registry, reference, steps)
    console.say(
        f"Canary of version {state.challenger} beside version {state.champion} at {address}, by {counting.source}. "
        f"Each step needs {plan.requests} requests to it, and may take {console.duration(plan.seconds)}. Ctrl-C "
        "interrupts it; make canary goes on."
    )
    around = Surroundings(
        serve=_serving(settings, target, open_registry),
        counting=counting,
        promote=partial(_promote, settings),
        approval=lambda version: approval_rules(settings).problem(version),
        interval=settings.sync_seconds,
    )
    outcome = Canary(Ledger(state, open_registry), plan, around).run()
    _show(outcome, state.challenger, state.champion)
    return outcome


def after_deploy(settings: config.Settings) -> None:
    """Try the challenger after a deployment; there may be none, or one that has failed its gates."""
    with _registry(settings) as registry:
        challenger, going_on = registry.find(CHALLENGER), read(registry.tags())
    if going_on is None:
        if challenger is None or CHAMPION in challenger.aliases:
            console.say(f"\nNo canary: there is no {CHALLENGER} beside the {CHAMPION}.")
            return
        if challenger.tags.get(GATES) != "passed":
            console.say(f"\nNo canary: version {challenger.number}, the {CHALLENGER}, has not passed its gates.")
            return
    console.say()
    run(settings)


def abort(settings: config.Settings, why: str) -> None:
    """Take the canary in progress back: the champion gets all traffic."""
    open_registry = partial(_registry, settings)
    with open_registry() as registry:
        number = begin.abort(registry, why)
        champion = registry.get(CHAMPION)
    console.say(f"Version {number} gets no traffic any more; version {champion.number} is {CHAMPION} as before.")
    target = targets.target(settings)
    if target.running():
        _serving(settings, target, open_registry)({champion.number: 100})


def _plan(settings: config.Settings) -> Plan:
    try:
        margins = Margins.model_validate(getattr(quality, "CANARY", {}))
    except ValidationError as error:
        problem = error.errors()[0]
        raise UserError(
            f"CANARY in model/quality.py: {'.'.join(map(str, problem['loc']))}: "
            f"{describe(problem, Margins.model_fields)}"
        ) from error
    return Plan(settings.canary_requests, settings.canary_labels, settings.canary_seconds, margins)


def _steps(text: str) -> tuple[int, ...]:
    """Return the percentages of the steps; `UserError` if they do not rise from below 100 to 100."""
    parts = [part.strip() for part in text.split(",")]
    steps = tuple(int(part) for part in parts if part.isdecimal())
    rising = all(first < second for first, second in pairwise(steps))
    if len(steps) != len(parts) or len(steps) < 2 or not rising or steps[0] < 1 or steps[-1] != 100:
        raise UserError(
            f"CANARY_STEPS={text}: write rising percentages that begin below 100, where both versions can be compared, "
            "and end with 100, as 5,25,100"
        )
    return steps


def _counting(settings: config.Settings, address: str) -> Counting:
    """Return where counts come from; of a cluster, a single address has those of one replica only."""
    if settings.prometheus_url:
        prometheus = PrometheusApi(settings.prometheus_url)
        return PrometheusCounting(prometheus, settings.prometheus_url, settings.prometheus_job)
    if settings.target == "kubernetes":
        raise UserError(
            "On a cluster, each replica counts for itself, so a canary needs a Prometheus that scrapes all of them: "
            "set PROMETHEUS_URL"
        )
    return ServiceCounting(f"{address}/metrics", lambda: scrape(address, authorization(settings)))


@contextmanager
def _registry(settings: config.Settings) -> Iterator[Registry]:
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        yield registry


def _serving(
    settings: config.Settings, target: Target, open_registry: OpenRegistry
) -> Callable[[Mapping[int, int]], None]:
    """Return what has the service serve the registry's traffic weights."""
    store = model_store(settings)
    warmer = Warmer(store, settings.rollback_seconds)
    history = DeploymentHistory(settings.mlflow_tracking_uri, settings.model_name, settings.target, target.place)
    service = following.Service(target, store, warmer, open_registry, history, authorization(settings))
    if settings.target == "local":
        return service.follow_store
    if settings.target == "docker":
        return service.deploy
    roll_out = reconciler(settings)
    return partial(
        service.roll_out,
        # A sync beside the service has the pods follow.
        roll_out=roll_out if roll_out.is_needed() else None,
        seconds=settings.rollout_seconds,
    )


def _promote(settings: config.Settings, number: int, why: str) -> None:
    promotion.promote(settings, str(number), why, approve=False)


def _show(outcome: Outcome, challenger: int, champion: int) -> None:
    """Print how a canary ended; `UserError` if the challenger went back."""
    if outcome.action == canaries.WENT_BACK:
        raise UserError(
            f"Version {challenger} gets no traffic any more, version {champion} stays {CHAMPION}: {outcome.why}\n"
            "make history has the figures."
        )
    if outcome.action == canaries.WAITS:
        console.say(f"All steps before 100 % have passed, and the traffic stays as it is. {outcome.why}")
        console.next_steps(
            (f"make promote VERSION={challenger}", "approve it; that ends the canary"),
            ("make canary ARGS=--abort", "take it back"),
        )
        return
    console.next_steps(("make history", "the figures of each step"), ("make rollback", "undo the promotion"))
