"""Promotion of a version: its gates, its approval, the alias; what `promote` and `canary` share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from .. import config
from ..toolkit.common import console
from ..toolkit.common.errors import UserError, attribute_errors_to
from ..toolkit.common.names import CHAMPION, GATES, GATES_FAILED
from ..toolkit.registry import history
from ..toolkit.registry.client import RegisteredVersion, Registry, connect
from ..toolkit.registry.errors import mlflow_errors
from ..toolkit.registry.identity import person
from ..toolkit.release.approval import Approval
from ..toolkit.training import gate_records, gates
from .trust import approval_rules, model_store

#: What helps against gates that have not passed.
CURE = "Train a better version, or change the bounds in model/quality.py and train again."


class GatesError(UserError):
    """The gates of a version have not passed, for some reasons."""

    def __init__(self, version: RegisteredVersion, reasons: str) -> None:
        super().__init__(f"Version {version.number} has not passed its gates: {reasons}. {CURE}")
        self.reasons = reasons


def promote(
    settings: config.Settings, reference: str, why: str, *, force: bool = False, approve: bool = True
) -> history.Event | None:
    """Make a version, by number or alias, the champion, and return that event; None if it is the champion already.

    `UserError` if its gates have not passed, or if the current user may not approve it and an approval is needed.

    A version that failed in the comparison with the champion is compared again, on the hold-out rows of today. With
    `force`, which needs a reason, it is promoted in spite of its gates; the history names them. Without `approve`, an
    approval that it has already is left as it is.
    """
    registry, rules = connect(settings.mlflow_tracking_uri, settings.model_name), approval_rules(settings)
    with mlflow_errors(settings.mlflow_tracking_uri):
        version = registry.get(reference)
        approving = (rules.required and approve) or bool(rules.problem(version))
        if CHAMPION in version.aliases and not rules.problem(version):
            return None
        approval, results = _approvable(settings, registry, version) if approving else (None, None)
        action, failures = history.PROMOTED, _failures(version)
        if failures and force:
            action, why = history.FORCED, f"{why}; in spite of its gates: {failures}"
        elif failures:
            try:
                note, results = _compare_again(settings, registry, version, failures)
            except GatesError as error:
                raise UserError(
                    f"Version {version.number} is not promoted: {error.reasons}. {CURE} If the gates are wrong, the "
                    f"champion's rows having leaked for example: make promote VERSION={version.number} FORCE=1 "
                    'WHY="..."'
                ) from error
            why = f"{why}; {note}"
        if approval:
            # First: what follows the registry must not see a champion without it.
            registry.set_version_tags(version.number, approval._replace(why=why).tags)
            action = history.APPROVED if CHAMPION in version.aliases else action
        event = history.move_champion(registry, version.number, action, why, results, approved=bool(approval))
        console.say(event.sentence())
    return event


def require_gates(settings: config.Settings, registry: Registry, version: RegisteredVersion) -> None:
    """Raise `GatesError` if a version has not passed its gates; one that failed in the comparison is compared again."""
    if failures := _failures(version):
        _compare_again(settings, registry, version, failures)


def _approvable(
    settings: config.Settings, registry: Registry, version: RegisteredVersion
) -> tuple[Approval, list[dict[str, Any]]]:
    """Return the approval of a version by the current user, with the results of its gates; both are of verified files.

    `UserError` if the user may not approve it.
    """
    store, user = model_store(settings), person()
    with console.step("verify") as step:
        store.pull(version, registry.download)
        details = store.load(version.number).details
        step.detail = f"version {version.number} has the digest {version.digest[:12]}, which the approval names"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    # From the files, not from a tag, which anybody may change who may promote.
    made = Approval(now, user.name, user.confirmed, version.digest, str(details.get("by") or ""), "")
    results = gate_records.records(gates.GateResult.model_validate(one) for one in details.get("gates", []))
    if settings.four_eyes and made.is_own:
        trained_by = f"was trained by {made.trained_by}" if made.trained_by else "does not say who trained it"
        raise UserError(
            f"Version {version.number} {trained_by}, so {user.name} may not approve it: FOUR_EYES is set. Have "
            f"another person, or another MLflow user, run make promote VERSION={version.number}"
        )
    if settings.four_eyes and not user.confirmed:
        console.warn(
            f"no MLflow server has confirmed the name {user.name}, so FOUR_EYES relies on everybody giving their own "
            "(docs/promotion.md)"
        )
    return made, results


def _failures(version: RegisteredVersion) -> str:
    """Return why the gates of a version have not passed, "" if they have."""
    result = version.tags.get(GATES)
    if result == "passed":
        return ""
    return version.tags.get(GATES_FAILED) or f"its gates are {result or 'not evaluated'}"


def _compare_again(
    settings: config.Settings, registry: Registry, version: RegisteredVersion, failures: str
) -> tuple[str, list[dict[str, Any]]]:
    """Evaluate a version and the champion on the hold-out rows of today, and return that it passed, with the results.

    `GatesError` if it fails them again, or if it did not fail in the comparison.
    """
    if not gates.is_comparison(failures):
        raise GatesError(version, failures)
    console.say(f"Version {version.number} failed at its training: {failures}. Both are evaluated again:")
    # Here: a mistake in model/ must not keep anybody from a rollback.
    from ..toolkit.training import evaluation
    from . import training_data

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
            raise GatesError(version, "its schema is not that of model/schema.py today, so it cannot be evaluated")
        results = evaluation.apply_gates(found, champion, rows, criteria, settings.bootstrap_seconds)
    training_data.show_gates(results)
    if failed := [result.reason for result in results if not result.passed]:
        raise GatesError(version, f"{'; '.join(failed)} (evaluated again, on today's hold-out rows)")
    registry.set_version_tags(version.number, {GATES: "passed"})
    note = f"gates passed on today's {len(rows.holdout.label)} hold-out rows, {champion.note}"
    return note, gate_records.records(results)
