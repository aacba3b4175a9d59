"""One generated project with one environment, shared by all tests of this folder; each worker has a copy of its own."""

import fcntl
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
import run_toolkit
from conftest import file_lock
from cookiecutter.main import cookiecutter

import example

PROBLEMS = Path(__file__).parents[1] / "problems"
#: Settings of the person who runs the tests must not reach the project under test.
FOREIGN = (
    "ARGS",
    "AUTH",
    "ALLOW_PICKLE",
    "AWS_",
    "LAMBDA_",
    "SAGEMAKER_",
    "SIGNING_",
    "SIGSTORE_",
    "VERIFY_",
    "MAKE",
    "MFLAGS",
    "MLFLOW_",
    "MODEL_NAME",
    "PORT",
    "TARGET",
    "STORE",
    "TOKENS",
    "APPROVAL_",
    "FOUR_EYES",
    "GITHUB_",
    "GITLAB_",
    "WORKERS",
    "BIND_",
    "SYNC_",
    "GRACE_",
    "KAFKA_",
    "STREAM_",
    "CANARY",
    "PROMETHEUS_",
    "WEBHOOK_",
)


#: Below the ports that a system gives to outgoing connections.
PORTS = range(20_000, 30_000)
#: What a copy of a project is made without: its environment, runs, versions, logs and what was built.
OWN = (
    ".venv",
    ".git",
    "*_cache",
    "*.egg-info",
    "build",
    "mlflow.db*",
    "mlartifacts",
    "mlruns",
    "store",
    "log",
    "*.log",
    ".bentoml",
)


class Project:
    """A generated project, used as its owner would use it; `called` is a folder that keeps the targets called."""

    def __init__(self, path: Path, called: Path, package: str = "titanic_survival") -> None:
        self.path, self.package, self._called = path, package, called
        self.port = free_port()
        own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self.env = own | {"PORT": str(self.port), "BENTOML_HOME": str(path / ".bentoml"), "COLUMNS": "200"}
        # Threads of OpenMP on busy cores wait for each other, in loops; tests/test_demo.py trains without this.
        self.env["OMP_NUM_THREADS"] = "1"
        # What mypy knows of the libraries holds for all copies; each worker has a cache, since mypy locks none.
        self._worker = called.parent / f"worker-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
        self.env["MYPY_CACHE_DIR"] = str(self._worker / "mypy")

    @property
    def url(self) -> str:
        """Where its deployment answers."""
        return f"http://127.0.0.1:{self.port}"

    def make(self, *words: str, ok: bool = True, **env: str) -> str:
        """Run `make`, check whether it ends as expected, and return all that it printed."""
        self.calls(*words)
        return self.run("make", *words, ok=ok, **env)

    def calls(self, *words: str) -> None:
        """Record that a test calls Makefile targets; assignments among the words are none."""
        for word in words:
            if "=" not in word:
                (self._called / word).touch()

    def run(self, *command: str, ok: bool = True, cwd: Path | None = None, **env: str) -> str:
        """Run a command in the project."""
        result = subprocess.run(
            command,
            cwd=cwd or self.path,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
        )
        assert (result.returncode == 0) is ok, f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout}"
        if not ok:
            assert "Traceback" not in result.stdout, result.stdout
        return result.stdout

    def python(self, code: str, **env: str) -> Any:
        """Run Python code in the project's environment and return what it prints, read as JSON."""
        command = [str(self.path / ".venv/bin/python"), "-W", "ignore", "-c", code]
        result = subprocess.run(command, cwd=self.path, env=self.env | env, capture_output=True, text=True, timeout=200)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout.splitlines()[-1])

    def registry(self, **env: str) -> dict[str, Any]:
        """Return what MLflow's own client says of the registered model."""
        return self.python(
            f"""
import json, mlflow
from {self.package} import config
settings = config.settings()
mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
client = mlflow.MlflowClient()
model = client.get_registered_model(settings.model_name)
versions = client.search_model_versions(f"name = '{{settings.model_name}}'")
print(json.dumps({{
    "aliases": {{alias: int(number) for alias, number in model.aliases.items()}},
    "versions": {{v.version: v.tags | {{"run": v.run_id, "text": v.description}} for v in versions}},
    "history": [json.loads(model.tags[key]) for key in sorted(model.tags) if key.startswith("history.")],
}}, default=str))
""",
            **env,
        )

    @contextmanager
    def serving(self, *python: str, **env: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
        """Run the service in the foreground, on a port of its own; yield its address and process.

        `python` is what Python is told instead of running the package.
        """
        url = f"http://127.0.0.1:{(port := free_port())}"
        command = [str(self.path / ".venv/bin/python"), *(python or ("-m", self.package)), "serve"]
        with running(command, f"{url}/readyz", self.path, self.env | {"PORT": str(port)} | env) as process:
            yield url, process

    def rows(self, count: int = 3) -> list[dict[str, Any]]:
        """Return rows that the served model takes."""
        release = json.loads((self.path / "store/release.json").read_text())
        version = self.path / "store/versions" / str(release["champion"])
        return json.loads((version / "example.json").read_text())["rows"][:count]

    def copy(self, path: Path) -> "Project":
        """Return a copy that has the same environment and neither runs nor versions.

        The environments in which its Bentos are started are those of this worker's other copies too.
        """
        shutil.copytree(self.path, path, ignore=shutil.ignore_patterns(*OWN))
        (path / ".venv").symlink_to((self.path / ".venv").resolve())
        (path / "build").mkdir()
        (environments := self._worker / "environments").mkdir(parents=True, exist_ok=True)
        (path / "build" / "environments").symlink_to(environments)
        return Project(path, self._called, self.package)

    def link_environment(self, other: "Project") -> None:
        """Make an environment of its own that has the libraries of another: what is installed replaces a link."""
        environment = self.path / ".venv"
        shutil.copytree((other.path / ".venv").resolve(), environment, symlinks=True, copy_function=os.link)
        # The first is written to, and would change the other's; without the second, `make setup` completes it.
        for name in ("place", ".done"):
            (environment / name).unlink()
        (environment / "place").write_text(f"{environment.resolve()}\n")

    def leave_out_spark(self) -> None:
        """Remove the extra whose lock takes longest: uv downloads 480 MB where an index lets it keep no metadata."""
        for suffix in ("in", "lock"):
            (self.path / f"requirements/extras/spark.{suffix}").unlink()

    def variant(self, path: Path, problem: str) -> "Project":
        """Return a copy with the four files and the data of another problem instead of its own."""
        copy = self.copy(path)
        example.lay_over(folder_of(problem), path)
        # Which libraries the environment has is up to the test; a newer setup.py would have it made again.
        shutil.copy2(self.path / "setup.py", path)
        return copy


def folder_of(problem: str) -> Path:
    """Return the folder of a problem: an example, or one that is for tests only."""
    folders = [folder for folder in (example.EXAMPLES / problem, PROBLEMS / problem) if folder.is_dir()]
    assert len(folders) == 1, folders
    return folders[0]


def call(url: str, body: Any = None, authorization: str = "") -> tuple[int, Any]:
    """Send a request, with a body as JSON if there is one; return the status and the answer, from JSON where it is."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization else {})
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def targets(project: Project) -> set[str]:
    """Return the targets of a project's Makefile."""
    makefile = (project.path / "Makefile").read_text()
    return set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())


def needed(tool: str) -> str:
    """Return where a tool is that a test needs; without it, skip the test, or fail if REQUIRE_TOOLS is set."""
    found = shutil.which(tool)
    if found is None:
        missing = f"{tool} is not installed"
        assert "REQUIRE_TOOLS" not in os.environ, missing
        pytest.skip(missing)
    return found


#: The locks of the ports that this process has taken, until it ends.
_taken: list[IO[str]] = []


def free_port() -> int:
    """Return a port that nothing listens on, and that no other process that runs these tests is given."""
    folder = Path(tempfile.gettempdir()) / f"test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for port in random.sample(PORTS, len(PORTS)):
        lock = (folder / str(port)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _taken.append(lock)
        return port
    raise AssertionError(f"no port of {PORTS} is free")


@contextmanager
def running(
    command: list[str], ready: str, cwd: Path, env: dict[str, str], seconds: int = 90
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; `ready` is a URL that answers 200 once it is up."""
    log = cwd / f"{Path(command[0]).name}-{free_port()}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        wait_for(lambda: process.poll() is not None or call(ready)[0] == 200, seconds)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def mlflow_server(project: Project, folder: Path, port: int, *options: str) -> list[str]:
    """Return the command of an MLflow server that keeps everything in a folder."""
    python = str(project.path / ".venv/bin/python")
    command = [python, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
    return [*command, "--artifacts-destination", f"{folder}/artifacts", *options]


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until a condition holds; connections that are refused do not hold it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


@pytest.fixture(scope="session")
def called(run_folder: Path) -> Path:
    """Return the folder in which all workers record the Makefile targets that a test has called."""
    folder = run_folder / "called"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def generated(template: Path, run_folder: Path, called: Path) -> Project:
    """Return a project generated from the defaults, with its environment; the first worker that needs it makes it."""
    path = run_folder / "generated" / "titanic-survival"
    with file_lock(run_folder / "generated.lock"):
        if not path.exists():
            cookiecutter(str(template), no_input=True, output_dir=str(path.parent))
        project = Project(path, called)
        project.make("setup", run_toolkit.extras(path))
    return project


@pytest.fixture(scope="session")
def project(generated: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return this worker's copy of the project."""
    copy = generated.copy(tmp_path_factory.mktemp("project") / "titanic-survival")
    yield copy
    copy.make("undeploy")


@pytest.fixture(scope="session")
def trained(project: Project) -> Project:
    """Return the project with one version, which is champion; tests that train further need a copy of their own."""
    project.make("train")
    return project
