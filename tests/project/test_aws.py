"""The real image as SageMaker and Lambda run it, and `make deploy` to SageMaker through a real image registry."""

import json
import os
import re
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aws_stand_in import CREDENTIALS, PASSWORD_HASH, USER, StandIn, moto_server, standing_in
from lambda_runtime import event, runtime_api

from .conftest import Project, free_port, needed, running, wait_for

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::123456789012:role/models"
#: Both services give a container no more; SageMaker's own root file system could be written to.
STRICT = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")
ENGINE = os.environ.get("CONTAINER_ENGINE", "podman")
#: Sends standard input to an address in the container, and writes status and answer.
CALL = """
import sys, urllib.error, urllib.request
body = sys.stdin.buffer.read() or None
request = urllib.request.Request(sys.argv[1], body, {"Content-Type": "application/json", sys.argv[2]: sys.argv[3]})
try:
    answer = urllib.request.urlopen(request, timeout=30)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status)
print(answer.read().decode())
"""
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


def engine(*words: str, stdin: bytes = b"") -> str:
    """Run the engine, and return what it prints."""
    done = subprocess.run([needed(ENGINE), *words], input=stdin, capture_output=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.decode()}"
    return done.stdout.decode().strip()


class Container:
    """A container without a network, as SageMaker runs it: with the argument `serve`, on port 8080."""

    def __init__(self, image: str, environment: dict[str, str]) -> None:
        variables = [f"--env={name}={value}" for name, value in environment.items()]
        self.id = engine("run", "--detach", "--network=none", "--user=0:0", *STRICT, *variables, image, "serve")

    def call(self, path: str, body: bytes = b"", attributes: str = "") -> tuple[int, bytes]:
        """Return status and answer of a request to port 8080."""
        command = ["exec", "--interactive", self.id, "python", "-c", CALL, f"http://127.0.0.1:8080{path}"]
        status, _, answer = engine(*command, ATTRIBUTES, attributes, stdin=body).partition("\n")
        return int(status), answer.encode()

    def ready(self) -> bool:
        """Whether `/ping` answers 200."""
        try:
            return self.call("/ping")[0] == 200
        except AssertionError:  # nothing listens yet
            return False

    def remove(self) -> None:
        """End it."""
        engine("rm", "--force", "--time=0", self.id)


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run an image registry that wants the user and password of ECR, and yield its address."""
    address = f"127.0.0.1:{free_port()}"
    (folder / "users").write_text(f"{USER}:{PASSWORD_HASH}\n")
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
        f"http: {{addr: '{address}', headers: {{}}}}\nauth: {{htpasswd: {{realm: ecr, path: {folder}/users}}}}\n"
    )
    command = [needed("docker-registry"), "serve", str(config)]
    with running(command, f"http://{address}/", folder, dict(os.environ)):
        yield address


@pytest.fixture(scope="module")
def trained(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy with a version and a commit, whose image has Lambda's libraries."""
    copy = project.copy(tmp_path_factory.mktemp("aws") / "titanic-survival")
    arguments = os.environ.get("CONTAINER_BUILD_ARGS", "")
    copy.env["CONTAINER_BUILD_ARGS"] = f"{arguments} --build-arg EXTRAS=lambda".strip()
    copy.run("git", "init", "--quiet")
    # Bentos are kept in the project here, and the environment is a link.
    (copy.path / ".git/info/exclude").write_text(".bentoml\n.venv\n")
    copy.run("git", "add", ".")
    copy.run("git", "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "--message", "Begin")
    copy.make("train")
    return copy


@pytest.fixture(scope="module")
def image(trained: Project) -> Iterator[str]:
    """Return the image that `make build` makes."""
    repository = f"localhost/test-{uuid.uuid4().hex[:8]}/titanic-survival"
    found = re.search(rf"{repository}:[\w-]+", trained.make("build", IMAGE_REPOSITORY=repository))
    assert found
    yield found[0]
    subprocess.run([ENGINE, "rmi", "--force", found[0]], capture_output=True, check=False)


@pytest.fixture(scope="module")
def pushed() -> Iterator[list[str]]:
    """Return a list of repositories, whose images are removed in the end: other tests may have them by other names."""
    repositories: list[str] = []
    yield repositories
    for repository in repositories:
        for found in set(engine("images", "--quiet", "--no-trunc", repository).split()):
            engine("rmi", "--force", found)


@pytest.fixture
def contained() -> Iterator[Callable[..., Container]]:
    """Return a function that starts containers, which end with the test."""
    started: list[Container] = []

    def start(image: str, environment: dict[str, str]) -> Container:
        started.append(Container(image, environment))
        wait_for(started[-1].ready, 60)
        return started[-1]

    yield start
    for container in started:
        container.remove()


def test_container_keeps_the_contract_of_sagemaker(
    trained: Project, image: str, contained: Callable[..., Container]
) -> None:
    container = contained(image, {"PORT": "8080"})
    rows = trained.rows(2)
    body = json.dumps({"dataframe_records": rows}).encode()
    for attributes in ("", "version=1", "version=champion"):
        status, answer = container.call("/invocations", body, attributes)
        assert (status, len(json.loads(answer)["predictions"])) == (200, 2)
    assert container.call("/invocations", body, "version=99")[0] == 404
    start = time.monotonic()
    engine("stop", "--time=30", container.id)
    assert time.monotonic() - start < 20


def test_container_without_a_champion_is_never_healthy(image: str) -> None:
    container = Container(image, {"PORT": "8080", "STORE": "/tmp/empty"})
    try:
        wait_for(lambda: engine("inspect", "--format={{.State.Status}}", container.id) == "exited", 60)
        assert not container.ready()
        assert engine("inspect", "--format={{.State.ExitCode}}", container.id) == "1"
    finally:
        container.remove()


def test_deploy_pushes_and_serves_and_undeploy_leaves_nothing(
    trained: Project, tmp_path: Path, contained: Callable[..., Container], pushed: list[str]
) -> None:
    with registry(tmp_path) as address, moto_server() as moto, standing_in(moto) as aws:
        aws.registry = address
        pushed.append(f"{address}/titanic-survival")
        aws.answer = _container_of(aws, contained)
        env = CREDENTIALS | {"AWS_ENDPOINT_URL": aws.url, "TARGET": "sagemaker", "SAGEMAKER_ROLE": ROLE}
        assert "built and pushed by deploy" in trained.make("plan", **env)
        said = trained.make("deploy", **env)
        assert "aws sagemaker-runtime invoke-endpoint" in said
        model = _model(aws)
        assert re.fullmatch(rf"{address}/titanic-survival@sha256:[0-9a-f]{{64}}", model["Image"])
        assert "Nothing to do" in trained.make("plan", **env)
        status = trained.make("status", **env)
        assert "in sync" in status
        assert model["Image"] in status
        trained.make("undeploy", **env)
        sagemaker = aws.client("sagemaker")
        assert sagemaker.list_models()["Models"] == sagemaker.list_endpoints()["Endpoints"] == []
        assert "Nothing is deployed" in trained.make("status", **env)
        engine("logout", address)


def _model(aws: StandIn) -> dict[str, Any]:
    sagemaker = aws.client("sagemaker")
    (found,) = sagemaker.list_models()["Models"]
    return dict(sagemaker.describe_model(ModelName=found["ModelName"])["PrimaryContainer"])


def _container_of(aws: StandIn, contained: Callable[..., Container]) -> Callable[[bytes, str], tuple[int, bytes]]:
    """Return a function that answers with a container of the model's image, pulled from its registry."""
    containers: list[Container] = []

    def answer(body: bytes, attributes: str) -> tuple[int, bytes]:
        if not containers:
            model = _model(aws)
            plain = ["--tls-verify=false"] if "podman" in ENGINE else []
            engine("pull", *plain, model["Image"])
            containers.append(contained(model["Image"], model["Environment"]))
        return containers[0].call("/invocations", body, attributes)

    return answer


@pytest.mark.alone
def test_same_image_answers_events_of_lambda(trained: Project, image: str) -> None:
    took = []
    for _ in range(3):
        with runtime_api() as runtime:
            start = time.monotonic()
            api = f"--env=AWS_LAMBDA_RUNTIME_API={runtime.address}"
            # Lambda runs every image as a user of its own.
            container = engine("run", "--detach", "--network=host", "--user=993:990", *STRICT, api, image)
            try:
                assert runtime.ready.wait(60)
                took.append(runtime.ready_at - start)
                for url in (False, True):
                    answer = runtime.invoke(event("POST", "/predict", trained.rows(2), url=url))
                    assert (answer["statusCode"], len(json.loads(answer["body"]))) == (200, 2)
            finally:
                engine("rm", "--force", "--time=0", container)
    print(f"cold starts with the engine's own part: {', '.join(f'{seconds:.2f} s' for seconds in took)}")
    assert min(took) < 2
