"""Other problems, by rewriting the four files of `model/` and nothing else."""

import csv
import json
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
#: Those of the project's own tests that meet its model; the others have schemas of their own.
OF_THE_MODEL = " ".join(
    f"tests/test_{name}.py"
    for name in ("model", "train", "registry", "predict", "front", "protocols", "explain", "counting")
)


def test_every_problem_is_expected() -> None:
    assert {path.name for path in PROBLEMS.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("problem", EXPECTED)
def test_another_problem_needs_only_the_four_files(project: Project, tmp_path: Path, problem: str) -> None:
    fields, model = EXPECTED[problem]
    variant = project.variant(tmp_path / problem, problem)
    assert model in variant.make("train", MODEL_NAME=problem)
    assert variant.registry(MODEL_NAME=problem)["aliases"] == {"challenger": 1, "champion": 1}
    assert " passed" in variant.make("test", f"ARGS={OF_THE_MODEL}")
    try:
        variant.make("deploy", MODEL_NAME=problem)
        rows = variant.rows(4)
        status, answers = call(f"{variant.url}/predict", rows)
        assert status == 200
        assert [set(answer) - {"id", "version"} for answer in answers] == [fields] * len(rows)
        documented = call(f"{variant.url}/docs.json")[1]["components"]["schemas"]["Row"]["properties"]
        assert set(documented) == set(rows[0])
        assert call(f"{variant.url}/predict", [{"no such field": 1}])[0] == 400
    finally:
        variant.make("undeploy")

    source, output = tmp_path / "rows.csv", tmp_path / "out.csv"
    with source.open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        flat = ({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows)
        writer.writerows(flat)
    variant.make("predict", f"INPUT={source}", f"OUTPUT={output}", MODEL_NAME=problem)
    with output.open() as file:
        scored = list(csv.DictReader(file))
    for answer, row in zip(answers, scored, strict=True):
        for field in fields:
            assert row[field] == answer[field] or json.loads(row[field]) == answer[field]
