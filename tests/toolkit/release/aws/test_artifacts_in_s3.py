"""A registry whose artifacts are in S3, which goes away while `sync` follows it, and comes back."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import mlflow
import pytest
from aws_stand_in import CREDENTIALS, moto_server
from titanic_survival import config
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.release.store import Store

BUCKET = "artifacts"


@pytest.fixture
def registry(project: config.Settings) -> Registry:
    """Return a registry in which version 2, whose files are in S3, is champion; the store has version 1."""
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    first = registry.client.get_model_version(project.model_name, "1")
    registry.client.create_model_version(project.model_name, f"s3://{BUCKET}/2", tags=first.tags)
    registry.set_alias("champion", 2)
    return registry


@pytest.fixture
def files(registry: Registry) -> Path:
    """Return the folder of the files of version 1, which version 2 has too."""
    return Path(mlflow.artifacts.download_artifacts(f"models:/{registry.name}/1"))


def serve_files(files: Path, url: str) -> None:
    """Put the files of version 2 into S3."""
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    s3 = boto3.client("s3", endpoint_url=url, region_name=CREDENTIALS["AWS_REGION"], **keys)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": CREDENTIALS["AWS_REGION"]})
    for path in files.rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), BUCKET, f"2/{path.relative_to(files)}")


@contextmanager
def syncing(project: config.Settings, s3: str) -> Iterator[tuple["subprocess.Popen[str]", list[str]]]:
    """Run `sync` until the block ends; yield its process and the lines that it prints."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = own | CREDENTIALS | {"MLFLOW_S3_ENDPOINT_URL": s3, "AWS_MAX_ATTEMPTS": "1", "SYNC_SECONDS": "0.2"}
    environment |= {"MLFLOW_TRACKING_URI": project.mlflow_tracking_uri, "STORE": str(project.store)}
    command = [sys.executable, "-m", config.PACKAGE, "sync"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, cwd=config.ROOT, env=environment, **pipes)  # type: ignore[call-overload]
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))
    reader.start()
    try:
        yield process, lines
    finally:
        process.terminate()
        process.wait(30)
        reader.join()


def wait_for(condition: Callable[[], bool], lines: list[str]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "".join(lines)
        time.sleep(0.05)


def test_sync_waits_for_s3_and_takes_the_version_once_it_is_back(
    project: config.Settings, registry: Registry, files: Path, moto_python: str
) -> None:
    store = Store(project.store)
    with moto_server(moto_python) as url:
        pass
    with syncing(project, url) as (process, lines):
        wait_for(lambda: "storage of MLflow's artifacts fails (EndpointConnectionError)" in store.problem(), lines)
        time.sleep(2)  # the next tries come after 0.4, 0.8 and 1.6 s
        assert process.poll() is None
        release = store.release()
        assert release is not None and release.champion == 1, "what runs is unchanged"
        _, said, unchanged = lines
        assert "Could not connect to the endpoint URL" in said and "Try again later" in said
        assert unchanged == "What runs is unchanged; trying again.\n"
        with moto_server(moto_python, int(url.rpartition(":")[2])):
            serve_files(files, url)
            wait_for(lambda: store.problem() == "", lines)
        release = store.release()
        assert release is not None and release.champion == 2
    assert "version 2 = champion" in lines[-1] and "Traceback" not in "".join(lines)
