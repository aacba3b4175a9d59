"""Retraining: what starts a training, and how often, by the settings; `make monitor` calls it when its rules say so."""

from __future__ import annotations

import sys

from .. import config
from ..toolkit.analysis.summary import Summary
from ..toolkit.common.errors import UserError
from ..toolkit.registry.client import Registry
from ..toolkit.retraining.action import act as _act
from ..toolkit.retraining.airflow import Airflow
from ..toolkit.retraining.github import GitHub
from ..toolkit.retraining.gitlab import GitLab
from ..toolkit.retraining.limits import Limits
from ..toolkit.retraining.local import Local
from ..toolkit.retraining.request import Outcome, Request, Trigger
from ..toolkit.retraining.webhook import Webhook


def act(settings: config.Settings, registry: Registry, request: Request) -> Outcome:
    """Start a training by RETRAIN_TRIGGER, unless a limit is reached; return what became of the request."""
    try:
        found = trigger(settings)
    except UserError as error:
        return Outcome("failed", str(error))
    if found is None:
        return Outcome(
            "reported", f"RETRAIN_TRIGGER is not set, so nothing is started: make train WHY={_quoted(request.reason)}"
        )
    return _act(registry, request, found, Limits(settings.retrain_cooldown_hours, settings.retrain_daily_cap))


def act_on(settings: config.Settings, registry: Registry, summary: Summary, run: str) -> Outcome | None:
    """Act on the decision of a summary, if it is to train again; `run` is the MLflow run that has the report."""
    fired = [result for result in summary.rules if result.fired and result.action == "retrain"]
    if summary.decision != "retrain" or not fired:
        return None
    reason = "; ".join(result.reason for result in fired)
    # Without the figures, which are others the next time.
    rules = [f"{one.metric} {one.direction} {one.bound:g} over {one.days:g} days" for one in fired]
    return act(settings, registry, Request.of(summary.model, fired[0].version, reason, rules, run))


def trigger(settings: config.Settings) -> Trigger | None:
    """Return what starts a training by the settings, None if nothing does; `UserError` if they are wrong."""
    url, token = settings.retrain_url, settings.retrain_token.get_secret_value().strip()
    name = settings.retrain_trigger
    if name in ("github", "gitlab", "airflow") and not token:
        raise UserError(
            f"RETRAIN_TOKEN is not set: RETRAIN_TRIGGER={name} needs a token. docs/retraining.md says which."
        )
    if name == "local":
        return Local([sys.executable, "-m", config.PACKAGE, "train"], config.ROOT)
    if name == "github":
        return GitHub(url, token, settings.retrain_event)
    if name == "gitlab":
        return GitLab(url, token, config.SERVICE_NAME)
    if name == "airflow":
        return Airflow(url, token)
    if name == "webhook":
        return Webhook(url, token, settings.retrain_template)
    return None


def _quoted(text: str) -> str:
    """Return a text in double quotes, to be pasted behind a target of make."""
    return '"' + "".join(char for char in text if char not in '"$`\\') + '"'
