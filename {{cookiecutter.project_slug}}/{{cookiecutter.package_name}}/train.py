"""Train: load, split, fit, export, evaluate, record and register a version; promote it if its gates pass."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import config, model
from .model import pipeline
from .shared import estimators, training_data, trust
from .toolkit.common import console, tag_text
from .toolkit.common.errors import attribute_errors_to
from .toolkit.common.names import CHALLENGER, CHAMPION, COMMIT, DATA, DIGEST, TRAINED_BY
from .toolkit.common.redaction import redact
from .toolkit.registry import history
from .toolkit.registry.client import Registry, connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.registry.identity import who
from .toolkit.registry.packaging import register
from .toolkit.registry.runs import Run, start_run
from .toolkit.release.store import Store
from .toolkit.training import (
    checks,
    feature_checks,
    fitting,
    gate_records,
    labels,
    memory,
    model_card,
    plots,
    provenance,
    samples,
    threshold,
)
from .toolkit.training.dataset import Dataset
from .toolkit.training.details import Details, Origin
from .toolkit.training.evaluation import Evaluation, evaluate
from .toolkit.training.export.converters import check_arguments
from .toolkit.training.export.onnx_export import export
from .toolkit.training.fitting import FittedModel
from .toolkit.training.gates import is_comparison
from .toolkit.training.measurement import Criteria
from .toolkit.training.threshold import Threshold
from .toolkit.version import artifact
from .toolkit.version.artifact import Artifact
from .toolkit.version.contents import Contents
from .toolkit.version.signature import Signer

#: Hold-out rows of the parity check, beside those at the edges of the contract; more take time and find hardly more.
PARITY_ROWS = 50_000


def run(settings: config.Settings, why: str = "") -> int:
    """Train one version, for the reason `why` if there is one, and return its number."""
    why = tag_text.line(redact(why))
    contract, criteria = training_data.contract(), training_data.criteria()
    kept = estimators.kept()
    estimator, options = estimators.build(kept), _onnx_options()
    if kept:
        console.say(f"build() gets the parameters of model/parameters.json: {kept.text} ({kept.note})")
    registry, store = connect(settings.mlflow_tracking_uri, settings.model_name), trust.model_store(settings)
    signer = trust.signer(settings)
    with (
        mlflow_errors(settings.mlflow_tracking_uri),
        start_run(registry, "train") as tracking,
        tempfile.TemporaryDirectory() as scratch,
    ):
        registry.create()
        rows = training_data.load(contract, strict=settings.strict)
        labels.check_fit(estimator, rows.contract, rows.holdout.table)
        checks.check_criteria(criteria, rows, training_data.MODEL)
        rows = estimators.with_features(rows)
        estimator, rows, tuned = _fit(estimator, rows, criteria)
        fitted = replace(_export(estimator, rows, options, tuned), built_with=kept)
        evaluation = _evaluate(fitted, rows, criteria, registry, store, settings.bootstrap_seconds)
        version = _record(tracking, Path(scratch), settings.model_name, rows, fitted, evaluation, signer, why)
        number = _register(registry, version, evaluation)
        _show(tracking, evaluation)
        tried = settings.canary and registry.find(CHAMPION) is not None
        required = trust.approval_rules(settings).required
        _promote(registry, number, evaluation, approval_required=required, canary=tried, why=why)
    return number


def _onnx_options() -> dict[str, Any]:
    """Return the arguments of the export that `model/pipeline.py` sets, if it sets any."""
    with attribute_errors_to(training_data.MODEL, "pipeline.py"):
        return check_arguments(getattr(pipeline, "onnx_options", dict)())


def _fit(estimator: Any, rows: Dataset, criteria: Criteria) -> tuple[Any, Dataset, Threshold | None]:
    """Fit the estimator on the training rows; return what serves, and the rows with the threshold in their contract."""
    checks.check_probabilities(estimator, rows)
    memory.release()
    with console.step("fit") as step, attribute_errors_to(training_data.MODEL, "pipeline.py"):
        step.detail = fitting.name_of(estimator)
        estimator, tuned = threshold.fit(estimator, criteria.threshold, rows)
        if tuned:
            step.detail += f"; threshold {tuned.value:.4g}, {tuned.note}"
            rows = replace(rows, contract=rows.contract.model_copy(update={"threshold": tuned.value}))
    return estimator, rows, tuned


def _export(estimator: Any, rows: Dataset, options: dict[str, Any], tuned: Threshold | None) -> FittedModel:
    """Export the estimator to ONNX and check its parity on hold-out rows."""
    with console.step("export") as step, attribute_errors_to(training_data.MODEL, "pipeline.py"):
        checked = samples.of_columns(rows.holdout.columns, PARITY_ROWS)
        contract, columns = feature_checks.parity_rows(rows.contract, rows.features, checked)
        exported = export(estimator, contract, columns, options)
        fitted = FittedModel(estimator, exported, rows.contract, tuned.note if tuned else "", rows.features)
        step.detail = f"{'ONNX' if exported.model else 'Python'} serves: {exported.note}"
    for line in exported.details:
        console.say(f"  - {line}")
    return fitted


def _evaluate(
    fitted: FittedModel, rows: Dataset, criteria: Criteria, registry: Registry, store: Store, seconds: float
) -> Evaluation:
    """Evaluate the model on the hold-out rows and compare it with the champion."""
    with console.step("evaluate") as step, attribute_errors_to(training_data.MODEL):
        champion = training_data.champion_metrics(registry, store, rows, criteria)
        step.detail = champion.note
        return evaluate(fitted, rows, criteria, champion, seconds)


def _record(
    tracking: Run,
    scratch: Path,
    name: str,
    rows: Dataset,
    fitted: FittedModel,
    evaluation: Evaluation,
    signer: Signer | None,
    why: str,
) -> Artifact:
    """Save the version, verify and sign it, and record it in the tracking run."""
    with console.step("record") as step:
        tracking.log_dataset(name, rows.source.digest, rows.source.rows, rows.contract)
        details = Details.of(_origin(name, tracking.id, why), rows, fitted, evaluation)
        version = _save(scratch / "version", rows, fitted, evaluation, details)
        Artifact(version.folder).verify()  # another one, since it keeps the model that it has loaded
        if signer:
            signer.sign(version.folder)
        tracking.log_parameters(
            fitted.parameters
            | {"model": fitting.name_of(fitted.estimator), "training_rows": details.data.training_rows}
        )
        tracking.log_metrics(details.metrics)
        tracking.set_tags(
            {
                "runtime": details.runtime,
                "runtime_note": "\n".join([details.runtime_note, *details.runtime_details]),
                "git_commit": details.commit,
                "author": details.author,
                "data_digest": rows.source.digest,
            }
            | ({"tuning_run": fitted.built_with.run} if fitted.built_with else {})
            | ({"reason": why} if why else {})
        )
        tracking.log_files(version.folder, "version")
        pictures = scratch / "plots"
        pictures.mkdir()
        plots.draw(pictures, rows.holdout.label, evaluation.predictions, evaluation.importance.losses, rows.contract)
        tracking.log_files(pictures, "plots")
        step.detail = f"parameters, metrics, data, plots and model card{'; signed' if signer else ''}"
    return version


def _origin(name: str, run_id: str, why: str) -> Origin:
    return Origin(
        project=config.PROJECT_NAME,
        description=config.DESCRIPTION,
        author=config.AUTHOR,
        trained=datetime.now(UTC).isoformat(timespec="seconds"),
        by=who(),
        commit=provenance.commit(config.ROOT),
        model_name=name,
        run_id=run_id,
        reason=why,
    )


def _save(folder: Path, rows: Dataset, fitted: FittedModel, evaluation: Evaluation, details: Details) -> Artifact:
    contents = Contents(
        contract=rows.contract,
        model=fitted.estimator,
        onnx=fitted.onnx.model,
        example=samples.example(fitted.runtime, rows.holdout, rows.contract),
        background=samples.background(rows.training),
        profile=evaluation.profile,
        details=details.content(),
        card=model_card.write(details, rows.contract, rows.features.kinds if rows.features else {}),
        lock=config.ROOT / "requirements" / f"{os.environ.get('IMAGE_ENVIRONMENT', 'dev')}.lock",
        features=rows.features,
    )
    return contents.save(folder, model)


def _register(registry: Registry, version: Artifact, evaluation: Evaluation) -> int:
    """Register the version as challenger, with its card and the result of its gates, and return its number."""
    with console.step("register") as step:
        features = training_data.features_module() if version.has_features else None
        number = register(version, registry.name, pipeline, features)
        registry.set_description(number, (version.folder / "card.md").read_text(encoding="utf-8"))
        tags = {DIGEST: artifact.digest(version.folder), COMMIT: str(version.details["commit"])}
        tags |= {DATA: str(version.details["data"]["digest"])}
        tags |= {TRAINED_BY: str(version.details["by"]), **gate_records.tags(evaluation.gates)}
        registry.set_version_tags(number, tags)
        registry.set_alias(CHALLENGER, number)
        step.detail = f"{registry.name} version {number}, alias {CHALLENGER}"
    return number


def _show(tracking: Run, evaluation: Evaluation) -> None:
    """Print the results of the gates and the address of the run."""
    console.say()
    training_data.show_gates(evaluation.gates)
    console.say(f"\nRun: {tracking.address}")


def _promote(
    registry: Registry, number: int, evaluation: Evaluation, *, approval_required: bool, canary: bool, why: str = ""
) -> None:
    """Promote the version if its gates passed and neither approval nor canary is to come; print the next commands."""
    if evaluation.failures:
        console.say(f"Version {number} stays {CHALLENGER}: {'; '.join(evaluation.failures)}.")
        again = (f"make promote VERSION={number}", "measures both versions again, on the hold-out rows of then")
        console.next_steps(
            ("make train", "after a change to model/pipeline.py, or to the bounds in model/quality.py"),
            *([again] if is_comparison("; ".join(evaluation.failures)) else []),
        )
    elif canary:
        console.say(f"Version {number} passed its gates and waits for its canary as {CHALLENGER} (CANARY=1).")
        console.next_steps(("make canary", "try it on rising shares of the traffic"))
    elif approval_required:
        console.say(f"Version {number} passed its gates and waits for approval as {CHALLENGER}.")
        console.next_steps((f"make promote VERSION={number}", "approve it"))
    else:
        reason = f"gates passed after training{f': {why}' if why else ''}"
        event = history.move_champion(registry, number, history.PROMOTED, reason)
        console.say(event.sentence())
        look = [] if registry.is_server else [("make mlflow", "look at the run, its plots and the model card")]
        console.next_steps(("make deploy", "serve it"), *look)
