"""What `make build` packages is started once, with its own libraries alone, and has every file of the code."""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from .conftest import Project, call, free_port, needed, running

pytestmark = pytest.mark.slow

#: Both read files of the package as they are imported, in the service too.
ENDPOINTS = '''
"""Endpoints that read files of their package."""

import json
from pathlib import Path

FOLDER = Path(__file__).parent
WORDS = (FOLDER / "data" / "words.txt").read_text().split()


async def word(number: int) -> str:
    """Return a word."""
    return WORDS[number]
'''
#: A model in Python whose numbers are in a file, and which needs a library that the service does not have.
PIPELINE = """
import json
from pathlib import Path

import matplotlib
import numpy as np

SHARES = json.loads((Path(__file__).parent / "shares.json").read_text())


class Shares:
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        assert matplotlib.__name__
        share = np.array([SHARES[sex] for sex in X["sex"]])
        return np.stack([1 - share, share], axis=1)

    def predict(self, X):
        return self.predict_proba(X)[:, 1] > 0.5


def build():
    return Shares()
"""


@pytest.fixture(scope="module")
def trained(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy with a version, which builds no image."""
    copy = project.copy(tmp_path_factory.mktemp("build") / "titanic-survival")
    # Engines are found on the PATH; without one, only a Bento is built.
    copy.env["PATH"] = str(tools(copy.path.parent / "bin"))
    copy.env.pop("CONTAINER_ENGINE", None)
    # Its Bentos get an environment that is made here.
    (copy.path / "build" / "environments").unlink()
    model = copy.path / copy.package / "model"
    (model / "data").mkdir()
    (model / "data" / "words.txt").write_text("first second\n")
    (model / "endpoints.py").write_text(ENDPOINTS.lstrip())
    copy.make("train")
    return copy


def tools(folder: Path) -> Path:
    """Return a folder with the programs that the Makefile needs, and no container engine."""
    folder.mkdir()
    for name in ("sh", "make", "awk", "python3", "git", "uv", "grep", "sed", "rm", "cat", "env", "bash"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    return folder


def bentos(project: Project) -> list[str]:
    """Return the Bentos that there are."""
    listed = project.run(str(project.path / ".venv/bin/bentoml"), "list", "--output", "json")
    return [one["tag"] for one in json.loads(listed[listed.index("[") :])]


def test_bento_is_started_once_in_its_own_environment_and_has_all_files(trained: Project, tmp_path: Path) -> None:
    said = trained.make("build")
    assert re.search(r"✓ bento .* started once, \d+ example rows predicted as at training", said)
    [environment] = (trained.path / "build" / "environments").iterdir()
    libraries = {path.name for path in (environment / "lib").glob("python3.*/site-packages/*")}
    assert "onnxruntime" in libraries
    assert not libraries & {"pandas", "sklearn", "mlflow"}
    made = (environment / ".complete").stat().st_mtime
    trained.make("build")
    assert (environment / ".complete").stat().st_mtime == made, "the environment of a lock is made once"

    port = free_port()
    command = [str(environment / "bin/python"), "-m", "bentoml", "serve", bentos(trained)[0], "--port", str(port)]
    with running(command, f"http://127.0.0.1:{port}/readyz", tmp_path, trained.env):
        assert call(f"http://127.0.0.1:{port}/word", {"number": 1})[1] == "second"


def test_wheel_has_the_files_beside_the_code(trained: Project, tmp_path: Path) -> None:
    python = trained.path / ".venv/bin/python"
    uv = [str(trained.path / ".venv/bin/uv"), "build", "--wheel", "--no-build-isolation", "--python", str(python)]
    trained.run(*uv, "--out-dir", str(tmp_path))
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"titanic_survival/model/data/words.txt", "titanic_survival/toolkit/VERSION"} <= names
    assert not [name for name in names if name.endswith(".pyc")]


def test_bento_that_lacks_a_library_is_not_built(trained: Project, tmp_path: Path) -> None:
    copy = trained.copy(tmp_path / "titanic-survival")
    copy.env = trained.env | {"BENTOML_HOME": str(copy.path / ".bentoml"), "PORT": copy.env["PORT"]}
    model = copy.path / copy.package / "model"
    (model / "shares.json").write_text('{"female": 0.7, "male": 0.2}')
    (model / "pipeline.py").write_text(PIPELINE.lstrip())
    copy.make("train")
    copy.make("promote", "FORCE=1", "WHY=a test")
    said = copy.make("build", ok=False)
    assert "✓ bento" not in said
    assert (
        "The Bento does not start: it needs matplotlib, which requirements/model.lock does not have. Add the package "
        "that has it to the list MODEL in setup.py, then make lock, and make build again." in said
    )
    assert bentos(copy) == []

    # With the library gone from the model, the same file is all that it needs.
    (model / "pipeline.py").write_text(PIPELINE.lstrip().replace("matplotlib", "numpy"))
    copy.make("train")
    copy.make("promote", "FORCE=1", "WHY=a test")
    assert "✓ bento" in copy.make("build")

    # What the service itself imports is missing as it is packaged.
    endpoints = model / "endpoints.py"
    endpoints.write_text(f"import a_library_of_nobody\n{endpoints.read_text()}")
    for target in ("build", "serve"):
        said = copy.make(target, ok=False)
        assert "model/endpoints.py, line 1: ModuleNotFoundError: No module named 'a_library_of_nobody'" in said
        assert "add the package that has it to the list MODEL in setup.py, then: make lock" in said


def test_image_that_lacks_a_library_is_not_built(project: Project, tmp_path: Path) -> None:
    engine = needed(os.environ.get("CONTAINER_ENGINE", "podman"))
    copy = project.copy(tmp_path / "titanic-survival")
    copy.env["IMAGE_REPOSITORY"] = f"localhost/test-{tmp_path.parent.name}/lacking".lower()
    model = copy.path / copy.package / "model"
    (model / "shares.json").write_text('{"female": 0.7, "male": 0.2}')
    (model / "pipeline.py").write_text(PIPELINE.lstrip().replace("matplotlib", "pandas"))
    copy.make("train")
    copy.make("promote", "FORCE=1", "WHY=a test")
    copy.make("deploy")
    copy.make("undeploy")
    code = """
from titanic_survival import config
from titanic_survival.shared import container_image
from titanic_survival.toolkit.common import console
from titanic_survival.toolkit.release.container_engine import find_engine
from titanic_survival.toolkit.release.store import Store
settings = config.settings()
store = Store(settings.store)
try:
    container_image.build(settings, find_engine(settings.container_engine), store, store.release(), "serve")
except Exception as error:
    console.show_error(error)
"""
    said = copy.run(str(copy.path / ".venv/bin/python"), "-c", code)
    assert "✓ image" not in said
    assert "The image does not start: it needs pandas, which requirements/serve.lock does not have." in said
    assert re.search(r"\d+ example rows predicted as at training", copy.make("build").partition("✓ image")[2])
    images = copy.run(engine, "images", "--quiet", copy.env["IMAGE_REPOSITORY"]).split()
    copy.run(engine, "rmi", "--force", *dict.fromkeys(images))
