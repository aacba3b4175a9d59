"""Promote and roll back: set the champion, and record who did it, when, from, to and why."""

from __future__ import annotations

from . import config
from .command_line import NO_REASON
from .toolkit.common import console
from .toolkit.common.errors import UserError, attribute_errors_to
from .toolkit.common.names import CHAMPION, COMMIT, GATES, GATES_FAILED
from .toolkit.registry import deployments, history
from .toolkit.registry.client import RegisteredVersion, Registry, connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.training import gates
from .trust import model_store

#: Characters of a reason that MLflow keeps, in a tag with the rest of the event.
MAX_WHY = 4000


def run(settings: config.Settings, reference: str, why: str, *, force: bool = False) -> int:
    """Make a version, by number or alias, the champion; `UserError` if its gates have not passed.

    A version that failed in the comparison with the champion is compared again, on the hold-out rows of today. With
    `force`, which needs a reason, it is promoted in spite of its gates; the history names them.
    """
    if force and why in ("", NO_REASON):
        raise UserError(f'FORCE=1 needs a reason: make promote VERSION={reference} FORCE=1 WHY="..."')
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        version = registry.get(reference)
        if CHAMPION in version.aliases:
            console.say(f"Version {version.number} of {settings.model_name} is the {CHAMPION} already.")
            return version.number
        action, failures = history.PROMOTED, _failures(version)
        if failures and force:
            action, why = history.FORCED, f"{why}; in spite of its gates: {failures}"
        elif failures:
            if not gates.is_comparison(failures):
                raise _not_promoted(version, failures)
            why = f"{why}; {_compare_again(settings, registry, version, failures)}"
        console.say(history.move_champion(registry, version.number, action, why[:MAX_WHY]).sentence())
        console.next_steps(("make deploy", "serve it"), ("make rollback", "undo the promotion"))
    return version.number


def roll_back(settings: config.Settings, why: str) -> int:
    """Make the previous champion the champion again, and return its number; each further call goes one back."""
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        champion = registry.find(CHAMPION)
        if champion is None:
            first = "make promote" if registry.versions() else "make train"
            raise UserError(
                f"{settings.model_name} has no {CHAMPION} yet, so there is nothing to roll back. First: {first}"
            )
        champions = history.champions(history.events(registry))
        if not champions or champions[-1] != champion.number:
            champions.append(champion.number)  # the alias was set in MLflow itself, which records no event
        if len(champions) < 2:
            raise UserError(
                f"Version {champion.number} is the first {CHAMPION} of {settings.model_name}: there is no earlier one "
                "to roll back to. Choose a version yourself: make promote VERSION=n"
            )
        previous = champions[-2]
        console.say(history.move_champion(registry, previous, history.ROLLED_BACK, why).sentence())
    return previous


def show_history(settings: config.Settings) -> None:
    """Print the versions, the changes of the champion, what ran where, and the rollouts that failed."""
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        versions = registry.versions()
        if not versions:
            raise UserError(f"{settings.model_name} has no versions in {registry.uri} yet. Make one: make train")
        rows = [[str(v.number), ", ".join(v.aliases), v.tags.get(GATES, ""), v.tags.get(COMMIT, "")] for v in versions]
        console.table(["version", "aliases", "gates", "commit"], rows)
        console.say()
        for event in history.events(registry):
            console.say(f"{_minute(event.when)} UTC  {event.sentence()}")
        _show_deployments(registry)
        for version in versions:
            for failure in deployments.failures(version):
                where = f"{failure.target} {failure.place}, {_minute(failure.when)} UTC, {failure.who}"
                console.say(f"\nThe rollout of version {version.number} failed ({where}):\n{failure.reason}")


def _show_deployments(registry: Registry) -> None:
    """Print which version ran where, from when to when."""
    periods = deployments.periods(deployments.events(registry))
    if not periods:
        return
    console.say()
    for event, until in periods:
        image = f", image {event.image}" if event.image else ""
        console.say(
            f"{_minute(event.when)} UTC  to {f'{_minute(until)} UTC' if until else 'now'}: {event.serves} on "
            f"{event.target} {event.place} ({event.action} by {event.who}{image})"
        )


def _minute(when: str) -> str:
    return when[:16].replace("T", " ")


def _failures(version: RegisteredVersion) -> str:
    """Return why the gates of a version have not passed, "" if they have."""
    result = version.tags.get(GATES)
    if result == "passed":
        return ""
    return version.tags.get(GATES_FAILED) or f"its gates are {result or 'not evaluated'}"


def _compare_again(settings: config.Settings, registry: Registry, version: RegisteredVersion, failures: str) -> str:
    """Evaluate a version and the champion on the hold-out rows of today, and return that it passed its gates there.

    `UserError` if it fails them again.
    """
    console.say(f"Version {version.number} failed at its training: {failures}. Both are evaluated again:")
    # Here: a mistake in model/ must not keep anybody from a rollback.
    from . import training_data
    from .toolkit.training import evaluation

    criteria, rows, store = (
        training_data.criteria(),
        training_data.load(training_data.contract(), strict=settings.strict),
        model_store(settings),
    )
    with console.step("evaluate") as step, attribute_errors_to(training_data.MODEL):
        champion = training_data.champion_metrics(registry, store, rows, criteria)
        step.detail = champion.note
        store.pull(version, registry.download)
        found = evaluation.evaluate_version(store.load(version.number), rows, criteria)
        if found is None:
            raise _not_promoted(version, "its schema is not that of model/schema.py today, so it cannot be evaluated")
        results = evaluation.apply_gates(found, champion, rows, criteria, settings.bootstrap_seconds)
    training_data.show_gates(results)
    if failed := [result.reason for result in results if not result.passed]:
        raise _not_promoted(version, f"{'; '.join(failed)} (evaluated again, on today's hold-out rows)")
    registry.set_version_tags(version.number, {GATES: "passed"})
    return f"gates passed on today's {len(rows.holdout.label)} hold-out rows, {champion.note}"


def _not_promoted(version: RegisteredVersion, reasons: str) -> UserError:
    return UserError(
        f"Version {version.number} is not promoted: {reasons}. Train a better version, or change the bounds in "
        "model/quality.py and train again. If the gates are wrong, the champion's rows having leaked for example: "
        f'make promote VERSION={version.number} FORCE=1 WHY="..."'
    )
