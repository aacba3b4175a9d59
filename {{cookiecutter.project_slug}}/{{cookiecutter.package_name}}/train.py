"""Train: load, check, split, fit, evaluate, record, register; promote when the gates pass."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import config, model, promote
from .model import data, pipeline, quality, schema
from .toolkit.common import console
from .toolkit.common.errors import UserError, blamed
from .toolkit.common.names import CHALLENGER, CHAMPION
from .toolkit.contract import dataframes
from .toolkit.contract.columns import Columns
from .toolkit.contract.schema import Contract, derive
from .toolkit.registry.client import Registry, connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.registry.identity import who
from .toolkit.registry.packaging import register
from .toolkit.registry.runs import Run
from .toolkit.release.store import Store
from .toolkit.training import dataset, gates, model_card, plots, provenance
from .toolkit.training.dataset import LabelledRows
from .toolkit.training.evaluation import Evaluation, background, evaluate, example, importance
from .toolkit.training.onnx_export import OnnxExport, export
from .toolkit.version import artifact
from .toolkit.version.reference_profile import Profile
from .toolkit.version.runtime import OnnxRuntime, PythonRuntime

MODEL = Path(str(model.__file__)).parent


def run(settings: config.Settings) -> int:
    """Train one version and return its number."""
    bounds, contract = gates.parse(quality.GATES), derive(schema.Row, schema.Prediction)
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with (
        mlflow_errors(settings.mlflow_tracking_uri),
        registry.run("train") as record,
        tempfile.TemporaryDirectory() as scratch,
    ):
        rows, training, holdout = _load(contract)
        estimator = _fit(training, contract)
        compiled = _compile(estimator, contract, holdout)
        runtime = OnnxRuntime(compiled.model, contract) if compiled.model else PythonRuntime(estimator, contract)
        with console.step("evaluate") as step, blamed(MODEL, "quality.py"):
            predictions = runtime.score(holdout.columns)
            found = evaluate(holdout, predictions, quality.metrics, quality.SLICES)
            rival, step.detail = _champion_metrics(registry, Store(settings.store), holdout, contract)
            verdicts = gates.judge(bounds, found.metrics, rival)
            profile = Profile.of(
                contract,
                training=training.columns,
                holdout=holdout.columns,
                predictions=predictions,
                label=holdout.label,
            )
        with console.step("record") as step:
            digest = record.dataset(rows.table, settings.model_name, contract.label.name)
            sizes = {"digest": digest, "training_rows": len(training.label), "holdout_rows": len(holdout.label)}
            details = _details(found, verdicts, importance(runtime, holdout, contract))
            details |= {"data": sizes, "runtime": runtime.name, "runtime_note": compiled.note}
            details |= {"shift": profile.shift(holdout.columns), "outliers": profile.outliers.share}
            folder = Path(scratch) / "version"
            version = artifact.save(
                folder,
                contract=contract,
                model=estimator,
                compiled=compiled.model,
                code=model,
                example=example(runtime, holdout, contract),
                background=background(training),
                profile=profile,
                details=details,
                card=model_card.write(details, contract, verdicts),
                lock=config.ROOT / "requirements" / "dev.lock",
            )
            version.verify()
            _record(record, version, estimator, holdout, predictions)
            step.detail = "parameters, metrics, data, plots and model card"
        with console.step("register") as step:
            number = register(version, settings.model_name, provenance.requirements())
            registry.describe(number, (folder / "card.md").read_text(), _tags(version, verdicts))
            registry.point(CHALLENGER, number)
            step.detail = f"{settings.model_name} version {number}, alias {CHALLENGER}"
        _conclude(registry, record, number, verdicts, settings)
    return number


def _load(contract: Contract) -> tuple[LabelledRows, LabelledRows, LabelledRows]:
    """Return all rows, those to learn from and those held out."""
    with console.step("load") as step, blamed(MODEL, "data.py"):
        table = data.load()
        step.detail = f"{len(table)} rows"
    with console.step("check") as step:
        rows = dataset.check(table, contract)
        step.detail = f"every row keeps the contract of model/schema.py ({len(contract.row)} fields)"
    with console.step("split") as step, blamed(MODEL, "data.py"):
        training, holdout = (dataset.check(part, contract) for part in data.split(rows.table))
        step.detail = f"{len(training.label)} rows to learn from, {len(holdout.label)} held out"
    return rows, training, holdout


def _fit(training: LabelledRows, contract: Contract) -> Any:
    """Return the model, fitted where it can be."""
    with console.step("fit") as step, blamed(MODEL, "pipeline.py"):
        estimator = pipeline.build()
        if not hasattr(estimator, "predict"):
            raise UserError(f"model/pipeline.py: build() returned {type(estimator).__name__}, which has no predict()")
        if hasattr(estimator, "fit"):
            estimator.fit(dataframes.as_frame(training.columns, contract), dataframes.learnable(training.label))
        step.detail = _name(estimator)
    return estimator


def _compile(estimator: Any, contract: Contract, holdout: LabelledRows) -> OnnxExport:
    """Return the compiled model, where it is proven the same."""
    with console.step("compile") as step, blamed(MODEL, "pipeline.py"):
        compiled = export(estimator, contract, holdout.columns)
        step.detail = f"{'ONNX' if compiled.model else 'Python'} serves: {compiled.note}"
    return compiled


def _champion_metrics(
    registry: Registry, store: Store, holdout: LabelledRows, contract: Contract
) -> tuple[dict[str, float], str]:
    """Return the champion's metrics on the hold-out rows, and a note on the comparison."""
    champion = registry.find(CHAMPION)
    if champion is None:
        return {}, "no champion to compare with yet"
    store.pull(champion.number, champion.digest, registry.download)
    rival = store.load(champion.number)
    columns, problems = dataframes.check(holdout.table, rival.contract)
    if problems or rival.contract.prediction != contract.prediction:
        return {}, f"not comparable with the champion, version {champion.number}, whose schema is another"
    metrics, _ = evaluate(holdout, rival.runtime.score(columns), quality.metrics, quality.SLICES)
    return metrics, f"compared with the champion, version {champion.number}"


def _details(found: Evaluation, verdicts: list[gates.GateResult], importances: dict[str, float]) -> dict[str, Any]:
    return {
        "project": config.PROJECT_NAME,
        "description": config.DESCRIPTION,
        "author": config.AUTHOR,
        "trained": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": who(),
        "commit": provenance.commit(config.ROOT),
        "metrics": found.metrics,
        "groups": found.groups,
        "importance": importances,
        "gates": [verdict.model_dump() for verdict in verdicts],
    }


def _record(
    record: Run, version: artifact.Artifact, estimator: Any, holdout: LabelledRows, predictions: Columns
) -> None:
    details = version.details
    parameters: dict[str, Any] = getattr(estimator, "get_params", dict)()
    record.parameters({key: value for key, value in parameters.items() if isinstance(value, bool | int | float | str)})
    record.tags({"runtime": details["runtime"], "runtime_note": details["runtime_note"]})
    record.parameters({"model": _name(estimator), "training_rows": details["data"]["training_rows"]})
    record.metrics(details["metrics"])
    record.tags(
        {"git_commit": details["commit"], "author": details["author"], "data_digest": details["data"]["digest"]}
    )
    record.files(version.folder, "version")
    with tempfile.TemporaryDirectory() as pictures:
        plots.draw(Path(pictures), holdout.label, predictions, details["importance"], version.contract)
        record.files(Path(pictures), "plots")


def _tags(version: artifact.Artifact, verdicts: list[gates.GateResult]) -> dict[str, str]:
    failed = [verdict.reason for verdict in verdicts if not verdict.passed]
    tags = {
        "gates": "failed" if failed else "passed",
        "digest": artifact.digest(version.folder),
        "commit": version.details["commit"],
    }
    return tags | ({"gates.failed": "; ".join(failed)} if failed else {})


def _conclude(
    registry: Registry, record: Run, number: int, verdicts: list[gates.GateResult], settings: config.Settings
) -> None:
    """Show the gates and the run, promote where the gates allow it, and name the next command."""
    console.say()
    console.table(["gate", "value", "bound", "champion", ""], [_line(verdict) for verdict in verdicts])
    console.say(f"\nRun: {record.address}")
    failed = [verdict.reason for verdict in verdicts if not verdict.passed]
    if failed:
        console.say(f"Version {number} stays {CHALLENGER}: {'; '.join(failed)}.")
        console.next_steps(("make train", "after a change to model/pipeline.py, or to the bounds in model/quality.py"))
    elif settings.approval_required:
        console.say(f"Version {number} passed its gates and waits for approval as {CHALLENGER}.")
        console.next_steps((f"make promote VERSION={number}", "approve it"))
    else:
        event = registry.move_champion(number, "promoted", "gates passed after training")
        console.say(promote.sentence(event))
        look = [] if registry.is_server else [("make mlflow", "look at the run, its plots and the model card")]
        console.next_steps(("make deploy", "serve it"), *look)


def _line(verdict: gates.GateResult) -> list[str]:
    figures = ["-" if figure is None else f"{figure:.4f}" for figure in (verdict.value, verdict.champion)]
    return [
        verdict.metric,
        figures[0],
        verdict.bound,
        figures[1],
        "[green]passed[/]" if verdict.passed else "[red]failed[/]",
    ]


def _name(estimator: Any) -> str:
    steps = getattr(estimator, "steps", None)
    return " > ".join(type(step).__name__ for _, step in steps) if steps else type(estimator).__name__
