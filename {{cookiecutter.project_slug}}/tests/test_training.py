"""`model/pipeline.py` and `model/quality.py`: the model passes its gates, and the same data give the same model."""

from {{ cookiecutter.package_name }} import config, train
from {{ cookiecutter.package_name }}.model import quality
from {{ cookiecutter.package_name }}.toolkit.registry.client import connect
from {{ cookiecutter.package_name }}.toolkit.release.store import Store
from {{ cookiecutter.package_name }}.toolkit.version.artifact import Artifact


def test_every_gate_passes(version: Artifact) -> None:
    assert [gate["metric"] for gate in version.details["gates"]] == list(quality.GATES)
    assert [gate["reason"] for gate in version.details["gates"] if gate["reason"]] == []


def test_version_predicts_what_it_predicted_at_its_training(version: Artifact) -> None:
    version.verify()


def test_training_again_gives_the_same_metrics_and_predictions(version: Artifact, settings: config.Settings) -> None:
    number = train.run(settings.model_copy(update={"approval_required": True}))
    registry, store = connect(settings.mlflow_tracking_uri, settings.model_name), Store(settings.store)
    store.pull(registry.get(str(number)), registry.download)
    again = store.load(number)
    assert again.details["metrics"] == version.details["metrics"]
    assert again.example == version.example
