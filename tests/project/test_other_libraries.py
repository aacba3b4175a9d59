"""Libraries of models beside scikit-learn, as an owner adds them: MODEL in setup.py, `make lock`, `make setup`."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_toolkit import environment

from .conftest import Project, call
from .test_problems import score_in_every_way

pytestmark = pytest.mark.slow

LIBRARIES = Path(__file__).parents[1] / "libraries"
#: xgboost-cpu is xgboost without the libraries of graphics cards, which are ten times its size; from 3.3 on it needs
#: Python 3.12.
MODEL = ("catboost>=1.2.10", "lightgbm>=4.5", "statsmodels>=0.14", "xgboost-cpu>=3.0,<3.3")


@pytest.fixture(scope="module")
def libraries(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with an environment of its own, to which the libraries were added."""
    copy = project.copy(tmp_path_factory.mktemp("libraries") / project.path.name)
    (copy.path / ".venv").unlink()
    copy.link_environment(project)
    copy.leave_out_spark()
    setup = copy.path / "setup.py"
    text = setup.read_text().replace('    # "lightgbm>=4",\n', "".join(f'    "{name}",\n' for name in MODEL))
    assert text != setup.read_text()
    setup.write_text(text)
    copy.make("lock")
    assert "lightgbm==" in (copy.path / "requirements/model.lock").read_text()
    assert "lightgbm==" not in (copy.path / "requirements/serve.lock").read_text()
    assert "anew" not in copy.make("setup")
    return copy


def test_libraries_are_exported_and_served(libraries: Project) -> None:
    python = str(libraries.path / ".venv/bin/python")
    options = ["-c", "pyproject.toml", "--rootdir", ".", "--confcutdir", str(LIBRARIES), "-p", "no:cacheprovider"]
    output = libraries.run(python, "-m", "pytest", *options, str(LIBRARIES), **environment(libraries.path))
    assert " passed" in output
    assert "skipped" not in output


def test_lightgbm_in_the_pipeline_is_served_by_onnx(libraries: Project) -> None:
    pipeline = libraries.path / libraries.package / "model/pipeline.py"
    text = pipeline.read_text().replace("from sklearn.ensemble import HistGradientBoostingClassifier\n", "")
    text = text.replace("from sklearn.compose", "from lightgbm import LGBMClassifier\nfrom sklearn.compose")
    start, end = text.index("trees = HistGradient"), text.index("    return make_pipeline(columns, trees)")
    text = (
        f"{text[:start]}trees = LGBMClassifier(n_estimators=60, num_leaves=8, verbose=-1, random_state=0)\n{text[end:]}"
    )
    pipeline.write_text(text)
    output = libraries.make("train")
    assert "ONNX serves: parity check passed" in output
    libraries.make("deploy", AUTH="none")
    try:
        rows = libraries.rows(5)
        status, answers = call(f"{libraries.url}/predict", rows)
        assert status == 200
        expected = libraries.python(
            f"""
import json, pickle
from {libraries.package}.toolkit.contract.columns import as_records, from_rows
from {libraries.package}.toolkit.version.artifact import Artifact
from {libraries.package}.toolkit.version.runtime import PythonRuntime
from pathlib import Path
version = Artifact(Path("store/versions/1"))
model = pickle.loads((version.folder / "model.pkl").read_bytes())
scored = PythonRuntime(model, version.contract).score(from_rows({rows!r}, version.contract))
print(json.dumps(as_records(scored, version.contract)))
"""
        )
        assert [answer["survived"] for answer in answers] == [row["survived"] for row in expected]
        probabilities = [answer["probability"] for answer in answers]
        assert probabilities == pytest.approx([row["probability"] for row in expected], abs=1e-5)
        assert len(set(probabilities)) > 1
    finally:
        libraries.make("undeploy")


def test_three_hundred_columns_are_scored_in_every_way(libraries: Project, tmp_path: Path) -> None:
    score_in_every_way(libraries, tmp_path / "churn", "churn", "tests/test_same_answers.py tests/test_service.py")
