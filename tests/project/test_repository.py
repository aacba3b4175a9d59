"""Two projects in one git repository: what is done to one leaves the other as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from conftest import commit, git
from cookiecutter.main import cookiecutter
from lint_pipelines import faults_by_actionlint, faults_by_schema, faults_by_zizmor

from .conftest import PROBLEMS, Project, call, needed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def repository(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with the folders of two projects, `titanic-survival` and `models/disease`."""
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / ".git/info/exclude").write_text(".venv\n.bentoml\n*.log\n")
    return folder


@pytest.fixture(scope="module")
def titanic(project: Project, repository: Path) -> Iterator[Project]:
    copy = project.copy(repository / "titanic-survival")
    yield copy
    copy.make("undeploy")


@pytest.fixture(scope="module")
def disease(project: Project, repository: Path, template: Path, called: Path) -> Iterator[Project]:
    made = Path(
        cookiecutter(
            str(template),
            no_input=True,
            extra_context={"project_name": "Disease"},
            output_dir=str(repository / "models"),
        )
    )
    assert not (made / ".git").exists()
    shutil.rmtree(made / "data")
    for file in (PROBLEMS / "diabetes").glob("*.py"):
        shutil.copy(file, made / "disease/model")
    (made / ".venv").symlink_to((project.path / ".venv").resolve())
    # Older than the environment that both share here, which would be made anew otherwise.
    for name in ("setup.py", "requirements/dev.lock"):
        os.utime(made / name, (0, 0))
    other = Project(made, called, "disease")
    yield other
    other.make("undeploy")


@pytest.fixture(scope="module")
def both(repository: Path, titanic: Project, disease: Project) -> tuple[Project, Project]:
    """Return both projects, committed, each with a version."""
    commit(repository)
    for one in (titanic, disease):
        one.make("train")
    return titanic, disease


def commits(project: Project) -> str:
    """Return the commit that a project's code has now."""
    names = f"from {project.package} import config; from {project.package}.toolkit.training import provenance"
    return str(project.python(f"import json; {names}; print(json.dumps(provenance.commit(config.ROOT)))"))


def test_each_has_its_own_model_in_a_registry_of_its_own(both: tuple[Project, Project]) -> None:
    for one in both:
        code = f"import json; from {one.package} import config; print(json.dumps(config.settings().model_name))"
        assert one.python(code) == one.path.name
        assert len(one.registry()["versions"]) == 1
        assert (one.path / "mlflow.db").is_file()


def test_a_change_of_one_is_no_change_of_the_other(both: tuple[Project, Project], repository: Path) -> None:
    titanic, disease = both
    before = commits(titanic)
    assert before == commits(disease) == git(repository, "rev-parse", "HEAD")[:12]
    readme = disease.path / "README.md"
    readme.write_text("Changed.\n")
    assert (commits(titanic), commits(disease)) == (before, f"{before}-dirty")
    after = commit(repository, "Change one")[:12]
    # The image of the other stays the same, to its tag.
    assert (commits(titanic), commits(disease)) == (before, after)


def test_each_is_deployed_and_stopped_alone(both: tuple[Project, Project]) -> None:
    titanic, disease = both
    for one in both:
        one.make("deploy")
    for one in both:
        status, answers = call(f"{one.url}/predict", one.rows(2))
        assert (status, len(answers)) == (200, 2)
        assert call(f"{one.url}/model")[1]["model"] == one.path.name
    titanic.make("undeploy")
    assert call(f"{disease.url}/readyz")[0] == 200
    assert "Nothing is deployed" in titanic.make("status")


def test_each_runs_its_own_tests(both: tuple[Project, Project]) -> None:
    _, disease = both
    said = disease.make("test", "ARGS=tests/test_schema.py tests/test_data.py")
    assert "passed" in said


def test_pipelines_of_each_are_placed_at_the_top(both: tuple[Project, Project], repository: Path) -> None:
    for one in both:
        one.make("workflows")
    found = sorted(path.name for path in (repository / ".github/workflows").iterdir())
    kinds, projects = ("ci", "deploy", "monitor", "train"), ("disease", "titanic-survival")
    assert found == [f"{name}-{kind}.yml" for name in projects for kind in kinds]
    placed = [repository / ".github/workflows" / name for name in found]
    assert faults_by_schema("github-workflows", placed) == ""
    assert faults_by_schema("gitlab-ci", sorted((repository / ".gitlab").glob("*.yml"))) == ""
    assert faults_by_zizmor(placed) == []
    for path in placed:
        name, _, kind = path.stem.rpartition("-")
        folder = {"disease": "models/disease", "titanic-survival": "titanic-survival"}[name]
        content = yaml.safe_load(path.read_text())
        assert content["defaults"]["run"]["working-directory"] == f"{folder}/"
        assert (repository / content["defaults"]["run"]["working-directory"] / "Makefile").is_file()
        assert f"hashFiles('{folder}/requirements/dev.lock')" in path.read_text()
        if kind == "ci":
            assert content[True]["push"]["paths"] == [f"{folder}/**", f".github/workflows/{name}-*"]
            assert content[True]["push"]["branches"] == ["main"]
            assert content[True]["pull_request"]["paths"] == content[True]["push"]["paths"]
        else:
            types = {"train": "retrain", "deploy": "promoted", "monitor": "monitor"}
            assert content[True]["repository_dispatch"]["types"] == [f"{name}-{types[kind]}"]
    names = [yaml.safe_load(path.read_text())["name"] for path in placed]
    assert len({*names}) == 8, "their concurrency groups are named after them"
    assert "RETRAIN_EVENT: disease-retrain\n" in (repository / ".github/workflows/disease-monitor.yml").read_text()
    assert "gh workflow run disease-deploy.yml" in (repository / ".github/workflows/disease-train.yml").read_text()


def test_actionlint_finds_nothing_in_placed_workflows(both: tuple[Project, Project], repository: Path) -> None:
    assert faults_by_actionlint(sorted((repository / ".github/workflows").glob("*.yml"))) == []


def test_placed_pipelines_name_paths_and_images_of_their_project(
    both: tuple[Project, Project], repository: Path
) -> None:
    text = (repository / ".gitlab/disease.yml").read_text()
    content = yaml.safe_load(text)
    assert content["variables"]["IMAGE_REPOSITORY"] == "$CI_REGISTRY_IMAGE/disease"
    assert content["test"].get("before_script", content["default"]["before_script"]) == ["cd models/disease/"]
    assert content["train"]["artifacts"]["paths"] == ["models/disease/report/"]
    assert content["push"]["artifacts"]["reports"]["dotenv"] == "models/disease/build/image.env"
    assert content["default"]["cache"]["key"]["files"] == ["models/disease/requirements/dev.lock"]
    assert content["production"]["resource_group"] == "disease-production"
    for job in yaml.safe_load((repository / ".github/workflows/disease-deploy.yml").read_text())["jobs"].values():
        assert job["env"]["IMAGE_REPOSITORY"].endswith("}}/disease")


def test_a_project_at_the_top_has_its_pipelines_already(project: Project, tmp_path: Path) -> None:
    copy = project.copy(tmp_path / "titanic-survival")
    assert "begin one" in copy.make("workflows", ok=False)
    git(copy.path, "init", "--quiet")
    assert "Nothing to do" in copy.make("workflows")
    assert not list(copy.path.glob(".gitlab"))


def test_image_of_one_is_the_same_after_a_commit_to_the_other(
    both: tuple[Project, Project], repository: Path, tmp_path: Path
) -> None:
    engine = needed(os.environ.get("CONTAINER_ENGINE", "podman"))
    titanic, disease = both
    name = f"localhost/test-{tmp_path.parent.name}/titanic-survival".lower()

    def built() -> str:
        titanic.make("build", IMAGE_REPOSITORY=name)
        images = [engine, "images", "--no-trunc", "--format", "{{.Tag}} {{.ID}}", name]
        return subprocess.run(images, capture_output=True, text=True, check=True).stdout

    try:
        first = built()
        (disease.path / "README.md").write_text("Changed again.\n")
        commit(repository, "Change one again")
        assert built() == first
        assert "dirty" not in first
    finally:
        found = subprocess.run([engine, "images", "--quiet", name], capture_output=True, text=True).stdout.split()
        subprocess.run([engine, "rmi", "--force", *dict.fromkeys(found)], capture_output=True)
