"""Other problems, by rewriting the four files of `model/` and nothing else. Their own tests cover batch scoring."""

from pathlib import Path

import pytest

from .conftest import PROBLEMS, Project, call

pytestmark = pytest.mark.slow

#: For each problem: the fields of a prediction, and what the training says of the model.
EXPECTED = {
    "diabetes": ({"progression"}, "Ridge"),
    "digits": ({"digit", "confidence", "probabilities"}, "RandomForestClassifier"),
    "direction": ({"direction", "probability"}, "LogisticRegression"),
    "plain_python": ({"seat", "score", "reason"}, "Rule"),
}


def test_every_problem_is_expected() -> None:
    assert {path.name for path in PROBLEMS.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("problem", EXPECTED)
def test_another_problem_needs_only_the_four_files(project: Project, tmp_path: Path, problem: str) -> None:
    fields, model = EXPECTED[problem]
    variant = project.variant(tmp_path / problem, problem)
    assert model in variant.make("train", MODEL_NAME=problem)
    assert variant.registry(MODEL_NAME=problem)["aliases"] == {"challenger": 1, "champion": 1}
    assert " passed" in variant.make("test")
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
