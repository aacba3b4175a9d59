"""The deployment: whether it answers, whether it is in sync, and what has its port."""

import socket
from datetime import UTC, datetime
from typing import Any

import pytest
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.findings import Finding
from titanic_survival.toolkit.diagnosis import brokers, deployment
from titanic_survival.toolkit.release.store import Release
from titanic_survival.toolkit.release.targets import Deployment

SERVED = Release.now("m", 1, {1: ("champion",)})


class Target:
    """A target with a deployment of some health, or none for a reason."""

    def __init__(self, health: str = "", reason: str = "") -> None:
        self.health, self.reason = health, reason

    def running(self) -> Deployment | None:
        """Return the deployment, if it has a health."""
        return Deployment("http://host", self.health, SERVED, datetime.now(UTC), {}) if self.health else None

    def absence(self) -> str:
        """Return the reason."""
        return self.reason


def service(target: Any, desired: Release | None = SERVED) -> list[Finding]:
    return list(deployment.service(target, lambda: desired))


def no_champion() -> Release:
    raise UserError("m has no champion")


def test_what_could_be_deployed_is_said() -> None:
    [found] = service(Target())
    assert (found.level, found.text) == ("ok", "nothing is deployed; make deploy serves version 1 = champion")
    assert service(Target(), None) == []
    nothing: Any = Target()
    assert list(deployment.service(nothing, no_champion)) == []


def test_in_sync_or_not() -> None:
    assert [found.level for found in service(Target("ready"))] == ["ok", "ok"]
    _, other = service(Target("ready"), Release.now("m", 2, {2: ("champion",)}))
    assert (other.level, "not in sync: the registry has version 2 = champion: make deploy" in other.text) == (
        "warning",
        True,
    )
    _, unknown = service(Target("ready"), None)
    assert (unknown.level, "MLflow does not answer" in unknown.text) == ("warning", True)


def test_service_that_does_not_answer_or_has_crashed() -> None:
    ill, _ = service(Target("does not answer (ReadTimeout)"))
    assert (ill.level, "does not answer (ReadTimeout): make status" in ill.text) == ("error", True)
    reason = "The process crashed at noon. The end of its log, /log:\n  one\n  two\nPort 3 is used by: another"
    [crashed] = service(Target(reason=reason))
    assert crashed.level == "error"
    assert crashed.text == ('The process crashed at noon. The end of its log, /log: "two"; make deploy starts it again')
    [removed] = service(Target(reason="Its container a was removed by another command."))
    assert removed.text == "Its container a was removed by another command; make deploy starts it again"


def test_port(monkeypatch: pytest.MonkeyPatch) -> None:
    free: Any = Target()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        [found] = deployment.port("127.0.0.1", number, free)
        assert (found.level, f"for example PORT={number + 1}" in found.text) == ("error", True)
        monkeypatch.setattr(deployment, "listeners", lambda port: ["process 1, python -m titanic_survival serve"])
        [found] = deployment.port("127.0.0.1", number, free)
        assert found.level == "warning"
        running: Any = Target("ready")
        assert list(deployment.port("127.0.0.1", number, running)) == []
    assert [found.level for found in deployment.port("127.0.0.1", number, free)] == ["ok"]


def test_brokers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = f"127.0.0.1:{server.getsockname()[1]}"
        assert [found.level for found in brokers.check(here)] == ["ok"]
        assert [found.level for found in brokers.check(f"{here},127.0.0.1:1")] == ["warning"]
    assert [found.level for found in brokers.check(f"{here}, 127.0.0.1:1")] == ["error"]
    assert [found.level for found in brokers.check("no port")] == ["error"]
