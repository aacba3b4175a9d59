"""A stand-in for AWS, for the targets that run there."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from titanic_survival.toolkit.release.targets.aws import Aws

sys.path.append(str(Path(__file__).parents[3]))

from aws_stand_in import CREDENTIALS, StandIn, moto_server, python_with_moto, standing_in


@pytest.fixture(scope="session")
def moto_python() -> str:
    """Return a Python that has moto; without one, skip the test, or fail if REQUIRE_TOOLS is set."""
    python = python_with_moto()
    if python is None:
        assert "REQUIRE_TOOLS" not in os.environ, "moto is not installed"
        pytest.skip("moto is not installed")
    return python


@pytest.fixture(scope="module")
def front(moto_python: str) -> Iterator[StandIn]:
    """Return a stand-in for AWS."""
    with moto_server(moto_python) as moto, standing_in(moto) as state:
        yield state


@pytest.fixture(scope="module")
def clients() -> dict[str, Any]:
    """Return what keeps the clients of the tests: to make one takes most of a second."""
    return {}


@pytest.fixture
def aws(front: StandIn, clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Return an empty AWS."""
    front.reset()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": front.url}).items():
        monkeypatch.setenv(name, value)
    make = Aws._client
    monkeypatch.setattr(
        Aws, "_client", lambda self, service: clients.get(service) or clients.setdefault(service, make(self, service))
    )
    return front
