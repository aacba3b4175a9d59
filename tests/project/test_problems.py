"""Other problems, by rewriting the four files of `model/` and nothing else: the examples, and some for tests only."""

import csv
import re
import shutil
from pathlib import Path

import pytest
import run_toolkit

import example

from .conftest import PROBLEMS, Project, call, folder_of

pytestmark = pytest.mark.slow

SAME_ANSWERS = Path(__file__).with_name("same_answers.py")
#: For each problem: the fields of a prediction, what the training says of the model, and what serves it.
EXPECTED = {
    "diabetes": ({"progression"}, "Ridge", "ONNX"),
    "digits": ({"digit", "confidence", "probabilities"}, "RandomForestClassifier", "ONNX"),
    "direction": ({"direction", "probability"}, "LogisticRegression", "ONNX"),
    "plain_python": ({"seat", "score", "reason"}, "Rule", "Python"),
    "anomalies": ({"outlier", "score"}, "IsolationForest", "ONNX"),
    "churn": ({"left", "probability"}, "LGBMClassifier", "ONNX"),
    "demand": ({"sold"}, "HistGradientBoostingRegressor", "ONNX"),
    "fraud": ({"fraud", "probability"}, "RandomForestClassifier", "ONNX"),
    "houses": ({"price"}, "GammaRegressor", "ONNX"),
    "sentiment": ({"sentiment", "probability"}, "LogisticRegression", "ONNX"),
}

#: Those that are trained and deployed by their Makefile too.
DEPLOYED = ("diabetes", "digits", "direction", "plain_python")


def test_every_problem_is_expected() -> None:
    assert {path.name for path in PROBLEMS.iterdir()} | set(example.names()) == set(EXPECTED)


def score_in_every_way(project: Project, path: Path, problem: str, arguments: str) -> None:
    """Test a problem in a copy of a project that has its libraries: the owner's tests, and ours of its raw CSV."""
    variant = project.variant(path, problem)
    shutil.copy(SAME_ANSWERS, variant.path / "tests" / "test_same_answers.py")
    assert " passed" in variant.make("test", f"ARGS={arguments}", RUNTIME=EXPECTED[problem][2].lower())


# test_other_libraries.py has the environment for the others.
@pytest.mark.parametrize(
    "problem", [name for name in EXPECTED if not example.details(folder_of(name)).get("libraries")]
)
def test_every_way_to_score_the_raw_csv_gives_the_same_predictions(
    project: Project, tmp_path: Path, problem: str
) -> None:
    score_in_every_way(project, tmp_path / problem, problem, "--ignore tests/test_monitoring_rules.py")


def test_example_trains_and_scores_as_its_readme_says(project: Project, called: Path, tmp_path: Path) -> None:
    path = example.generate(example.EXAMPLES / "demand", tmp_path)
    (path / ".venv").symlink_to((project.path / ".venv").resolve())
    for name in run_toolkit.INPUTS:  # an environment that is older than these would be made again
        shutil.copystat(project.path / name, path / name)
    generated = Project(path, called, "bakery_demand")
    assert "Version 1 is champion now" in generated.make("train")
    [command] = re.findall(r"^make (predict .*\.csv)\b", (path / "README.md").read_text(), re.MULTILINE)
    generated.make(*command.split())
    with (path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["shop"] for row in rows] == ["harbour", "market", "station"]
    assert all(0 < float(row["sold"]) < 1000 for row in rows)


@pytest.mark.parametrize("problem", DEPLOYED)
def test_another_problem_needs_only_the_four_files(project: Project, tmp_path: Path, problem: str) -> None:
    fields, model, runtime = EXPECTED[problem]
    variant = project.variant(tmp_path / problem, problem)
    printed = variant.make("train", MODEL_NAME=problem)
    assert model in printed
    assert f"{runtime} serves" in printed
    assert variant.registry(MODEL_NAME=problem)["aliases"] == {"challenger": 1, "champion": 1}
    try:
        variant.make("deploy", MODEL_NAME=problem)
        rows = variant.rows(4)
        status, answers = call(f"{variant.url}/predict", rows)
        assert status == 200
        assert [set(answer) - {"id", "version"} for answer in answers] == [fields] * len(rows)
        documented = call(f"{variant.url}/docs.json")[1]["components"]["schemas"]["Row"]["properties"]
        assert set(documented) == set(rows[0])
        assert call(f"{variant.url}/predict", [{"no such field": 1}])[0] == 400
        [version] = call(f"{variant.url}/model")[1]["versions"]
        # Of these problems, one makes a column of its own; callers do not send it.
        assert list(version.get("features", {}).get("columns", []))[-1:] == ["bmi_bp"] * (problem == "diabetes")
    finally:
        variant.make("undeploy")
