"""The reconciler on a stand-in for the API server: what is rolled out, what is undone, and who may change it now."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stand_in import StandIn, serving
from titanic_survival import config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry import deployments
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.release.deployment_history import DeploymentHistory
from titanic_survival.toolkit.release.store import Release
from titanic_survival.toolkit.release.targets import RolloutError
from titanic_survival.toolkit.release.targets.kubernetes import golden, reconciler, rollout
from titanic_survival.toolkit.release.targets.kubernetes.api_server import ApiServer
from titanic_survival.toolkit.release.targets.kubernetes.cluster import Cluster, ClusterError, ConflictError
from titanic_survival.toolkit.release.targets.kubernetes.kubectl import Kubectl
from titanic_survival.toolkit.release.targets.kubernetes.lease import Lease, LeaseError
from titanic_survival.toolkit.release.targets.kubernetes.reconciler import Reconciler
from titanic_survival.toolkit.release.targets.kubernetes.record import Deployed, Record, record_name

NAME = config.SERVICE_NAME
REPOSITORY = "registry.example.com/titanic"
FIRST = f"{REPOSITORY}@sha256:{64 * '0'}"
POD = {
    "containers": [
        {"name": "service", "image": FIRST, "readinessProbe": {"httpGet": {"path": "/readyz"}}},
        {"name": "other", "image": "other@sha256:1", "readinessProbe": {}},
    ]
}


class Killed(BaseException):
    """The end of the process, wherever it was."""


class Server(ApiServer):
    """The API server, with Services of a cluster that has no names."""

    url = ""

    @contextmanager
    def service(self, name: str) -> Iterator[str]:
        """Return the URL of the stand-in."""
        yield self.url


def release(number: int, aliases: tuple[str, ...] = ("champion",)) -> Release:
    return Release.now("titanic", number, {number: aliases})


def image(number: int) -> str:
    """Return the image that a version is appended to."""
    return f"{REPOSITORY}@sha256:{number:064}"


class Cell:
    """A namespace with a deployment of version 1, its registry of three versions, and reconcilers."""

    def __init__(self, stand_in: StandIn, port: int, folder: Path, registry: Registry) -> None:
        self.stand_in, self.registry = stand_in, registry
        (folder / "token").write_text("secret\n")
        url = f"http://127.0.0.1:{port}"
        self.server = Server(url, stand_in.namespace, folder / "token")
        self.server.url = url
        self.appended: list[tuple[str, int]] = []
        self.deploy(FIRST, release(1))

    def deploy(self, new: str, served: Release) -> None:
        """Deploy by hand."""
        pod = json.loads(json.dumps(POD).replace(FIRST, new))
        labels = {"app.kubernetes.io/name": NAME}
        deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}}
        deployment["spec"] = {"template": {"metadata": {"labels": labels}, "spec": pod}}
        self.server.apply(json.dumps(deployment))
        current = Deployed(release=served, image=new, manifests=f"image: {new}\n", since=datetime.now(UTC))
        self.write(Record(current=current, overlay="staging"))

    def record(self) -> Record:
        """Return the record of what was deployed."""
        return Record.read(self.server, record_name(NAME))

    def write(self, record: Record) -> None:
        """Replace the record."""
        record.write(self.server, record_name(NAME))

    def append(self, old: str, new: Release) -> str:
        """Return an image of a release."""
        self.appended.append((old, new.champion))
        return image(new.champion)

    def reconciler(self, cluster: Cluster | None = None, **options: Any) -> Reconciler:
        """Return a reconciler of another process."""
        example = SimpleNamespace(example=SimpleNamespace(rows=[{}], predictions=[{}]))
        store: Any = SimpleNamespace(load=lambda number: example)
        history = partial(DeploymentHistory, self.registry.uri, self.registry.name, "kubernetes")
        options = {"rollout_seconds": 2, "holder": "one"} | options
        return Reconciler(cluster or self.server, NAME, store, history, self.append, **options)

    def running(self) -> str:
        """Return the image that the cluster runs."""
        return str(self.deployment()["spec"]["template"]["spec"]["containers"][0]["image"])

    def deployment(self) -> dict[str, Any]:
        """Return the Deployment."""
        return self.stand_in.objects["Deployment", NAME]

    def failures(self, number: int) -> list[deployments.Failure]:
        """Return the failed rollouts of a version."""
        return deployments.failures(self.registry.get(str(number)))

    def changes(self) -> list[str]:
        """Return the requests that changed something since the last call."""
        found = [request for request in self.stand_in.requests if not request.startswith("GET")]
        self.stand_in.requests.clear()
        return found


@pytest.fixture
def registry(project: config.Settings) -> Registry:
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    source = registry.client.get_model_version(project.model_name, "1").source
    for _ in range(2):
        registry.client.create_model_version(project.model_name, source)
    return registry


@pytest.fixture
def cell(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cell]:
    monkeypatch.setattr(reconciler, "GOLDEN_SECONDS", 0)
    stand_in = StandIn("models", {FIRST, image(2)})  # the image of version 3 cannot be pulled
    with serving(stand_in) as port:
        yield Cell(stand_in, port, tmp_path, registry)


def test_new_release_is_rolled_out_and_recorded(cell: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    cell.reconciler()(release(2))
    assert cell.running() == image(2)
    assert cell.deployment()["metadata"]["annotations"]["model-service/versions"] == "version 2 = champion"
    assert cell.deployment()["spec"]["template"]["spec"]["containers"][1]["image"] == "other@sha256:1"
    record = cell.record()
    assert record.current and record.previous
    assert (record.current.image, record.previous.image, record.pending) == (image(2), FIRST, "")
    assert record.current.manifests == f"image: {image(2)}\n"
    (event,) = deployments.events(cell.registry)
    assert (event.target, event.place, event.champion, event.image) == ("kubernetes", "staging/models", 2, image(2))
    said = capsys.readouterr().out
    assert "champion" in said and "version 2 = champion" in said


def test_release_that_is_deployed_changes_nothing(cell: Cell) -> None:
    reconcile = cell.reconciler()
    reconcile(release(2))
    cell.changes()
    reconcile(release(2))
    assert cell.changes() == []
    assert cell.appended == [(FIRST, 2)]


def test_traffic_alone_is_a_new_image(cell: Cell) -> None:
    canary = Release.now("titanic", 2, {1: (), 2: ("champion",)}, weights={2: 90, 1: 10})
    cell.reconciler()(canary)
    record = cell.record()
    assert record.current and record.current.release == canary
    assert cell.appended == [(FIRST, 2)]


def fail(cell: Cell, monkeypatch: pytest.MonkeyPatch, how: str) -> Release:
    """Return a release whose rollout fails, and words of the reason."""
    if how == "golden":
        monkeypatch.setattr(golden, "ask", lambda *args: "500 the model fell over")
        return release(2)
    return release(3)


@pytest.mark.parametrize(("how", "words"), [("pull", "ImagePullBackOff"), ("golden", "the model fell over")])
def test_failed_rollout_goes_back_is_tagged_and_not_tried_again(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, how: str, words: str
) -> None:
    reconcile, bad = cell.reconciler(), fail(cell, monkeypatch, how)
    reconcile(bad)
    assert cell.running() == FIRST
    (failure,) = cell.failures(bad.champion)
    assert words in failure.reason
    record = cell.record()
    assert record.current and (record.current.image, record.pending) == (FIRST, "")
    assert deployments.events(cell.registry) == []
    cell.changes()
    for again in (reconcile, cell.reconciler(holder="two")):
        again(bad)
    assert cell.changes() == []
    assert len(cell.appended) == 1


def test_failed_release_is_tried_again_when_its_tag_is_removed(cell: Cell) -> None:
    reconcile = cell.reconciler()
    reconcile(release(3))
    cell.stand_in.images.add(image(3))
    reconcile(release(3))
    assert cell.running() == FIRST
    (tag,) = [key for key in cell.registry.get("3").tags if key.startswith("deployment.failed.")]
    cell.registry.delete_version_tag(3, tag)
    reconcile(release(3))
    assert cell.running() == image(3)


def test_failed_release_is_tried_again_with_another_release_or_image(cell: Cell) -> None:
    reconcile = cell.reconciler()
    reconcile(release(3))
    reconcile(release(3, ("challenger", "champion")))
    reconcile(release(3, ("challenger", "champion")))
    assert len(cell.appended) == 2
    cell.stand_in.images |= {image(3), image(9)}
    cell.deploy(image(9), release(1))
    reconcile(release(3, ("challenger", "champion")))
    assert cell.appended[2:] == [(image(9), 3)]
    assert cell.running() == image(3)
    assert cell.failures(3) == []


def test_failure_that_the_registry_does_not_take_is_not_tried_again(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconcile = cell.reconciler()

    def away(*args: Any) -> None:
        raise UserError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(deployments, "tag_failure", away)
        for _ in range(3):
            reconcile(release(3))
    assert len(cell.appended) == 1
    assert cell.failures(3) == []
    reconcile(release(3))
    assert len(cell.failures(3)) == 1
    assert len(cell.appended) == 1


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize("call", range(7))
def test_interrupted_reconciliation_is_completed_or_undone(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, call: int, good: bool
) -> None:
    """Kill a reconciler before its n-th change of the cluster; the next one waits until its Lease has expired."""
    changes = iter(range(100))
    wanted = release(2 if good else 3)

    def dying(method: Any) -> Any:
        def die(*args: Any, **options: Any) -> Any:
            if threading.current_thread() is threading.main_thread() and next(changes) >= call:
                raise Killed
            return method(*args, **options)

        return die

    dead = Server(cell.server.url, "models", cell.server._token)
    dead.url = cell.server.url
    for method in ("apply", "put"):
        monkeypatch.setattr(dead, method, dying(getattr(dead, method)))
    with suppress(Killed):
        cell.reconciler(dead, holder="dead")(wanted)
    next_one, now = cell.reconciler(holder="next"), [0.0]
    next_one._lease = Lease(cell.server, f"{NAME}-reconcile", "next", clock=lambda: now[0])
    for now[0] in (0, 100, 101):
        next_one(wanted)
    record = cell.record()
    assert record.current
    assert cell.running() == record.current.image == (image(2) if good else FIRST)
    assert record.pending == ""
    assert bool(cell.failures(3)) is not good


def test_interrupted_reconciliation_that_is_not_wanted_any_more_is_undone(cell: Cell) -> None:
    record = cell.record()
    record.pending = image(2)
    cell.write(record)
    cell.reconciler()._set(FIRST, image(2), release(2))
    assert cell.running() == image(2)
    cell.reconciler()(release(1))
    assert cell.running() == FIRST
    assert cell.record().pending == ""


def test_deployment_by_hand_that_is_in_progress_is_left_alone(cell: Cell) -> None:
    by_hand = image(7)
    cell.stand_in.images.add(by_hand)
    cell.reconciler()._set(FIRST, by_hand, release(2))
    cell.changes()
    with pytest.raises(UserError, match="by hand is in progress"):
        cell.reconciler()(release(2))
    assert cell.running() == by_hand
    assert cell.appended == []
    assert not [change for change in cell.changes() if "leases" not in change]


def test_deployment_by_hand_during_a_rollout_stays(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    cell.stand_in.images.add(image(9))
    monkeypatch.setattr(rollout, "wait", lambda *args: cell.deploy(image(9), release(2)))
    with pytest.raises(UserError, match="by hand meanwhile"):
        cell.reconciler()(release(2))
    monkeypatch.undo()
    cell.reconciler()(release(2))
    assert cell.running() == image(9)
    record = cell.record()
    assert record.current and record.current.image == image(9)
    assert cell.failures(2) == []


def test_deployment_by_hand_that_fails_during_a_rollout_is_no_failure_of_ours(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        cell.deploy(image(9), release(2))
        raise RolloutError("the pods of somebody else crash")

    monkeypatch.setattr(rollout, "wait", fail)
    with pytest.raises(UserError, match="by hand meanwhile"):
        cell.reconciler()(release(2))
    assert cell.running() == image(9)
    assert cell.failures(2) == []


def test_two_reconcilers_deploy_once(cell: Cell) -> None:
    both = [cell.reconciler(holder=f"reconciler {number}") for number in range(2)]
    threads = [threading.Thread(target=reconcile, args=[release(2)]) for reconcile in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for reconcile in both:
        reconcile(release(2))
    assert cell.appended == [(FIRST, 2)]
    assert len(deployments.events(cell.registry)) == 1


def test_lease_of_another_is_respected_until_it_expires(cell: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    Lease(cell.server, f"{NAME}-reconcile", "another").acquire()
    reconcile, now = cell.reconciler(), [0.0]
    reconcile._lease = Lease(cell.server, f"{NAME}-reconcile", "one", clock=lambda: now[0])
    for now[0] in (0, 5, 15):
        reconcile(release(2))
        assert cell.running() == FIRST
    assert capsys.readouterr().out.count("another changes the deployment now") == 1
    now[0] = 16
    reconcile(release(2))
    assert cell.running() == image(2)
    assert cell.stand_in.objects["Lease", f"{NAME}-reconcile"]["spec"]["holderIdentity"] == ""


def test_lease_is_renewed_while_held_and_noticed_when_lost(cell: Cell) -> None:
    lease, now = Lease(cell.server, "lease", "one", seconds=0.3), [0.0]
    other = Lease(cell.server, "lease", "two", seconds=0.3)
    with lease.held():
        with pytest.raises(LeaseError, match="one changes"):
            other.acquire()
        threading.Event().wait(0.7)
        with pytest.raises(LeaseError, match="one changes"):
            other.acquire()
        lease.check()
    other.acquire()
    old = Lease(cell.server, "old", "one", clock=lambda: now[0])
    old.acquire()
    now[0] = 16
    with pytest.raises(LeaseError, match="was lost"):
        old.check()


def test_lease_is_taken_by_one_of_two_at_the_same_moment(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    get = cell.server.get
    first, second = Lease(cell.server, "lease", "one"), Lease(cell.server, "lease", "two")

    def get_and_be_late(kind: str, name: str) -> Any:
        found = get(kind, name)
        monkeypatch.setattr(cell.server, "get", get)
        second.acquire()
        return found

    monkeypatch.setattr(cell.server, "get", get_and_be_late)
    with pytest.raises(LeaseError, match="at the same moment"):
        first.acquire()


def test_what_was_never_deployed_names_the_next_command(cell: Cell) -> None:
    cell.write(Record())
    with pytest.raises(UserError, match="First: make deploy TARGET=kubernetes"):
        cell.reconciler()(release(2))


@pytest.mark.parametrize(
    ("manifest", "component"),
    [
        ("  annotations:\n    model-service/follows: registry\n", "sync"),
        ("apiVersion: serving.knative.dev/v1\n", "scale-to-zero"),
        ("      - image:\n          reference: a@sha256:0\n", "image-volume"),
    ],
)
def test_component_whose_pods_serve_another_release_is_named(cell: Cell, manifest: str, component: str) -> None:
    record = cell.record()
    assert record.current
    assert cell.reconciler().is_needed()
    record.current.manifests += manifest
    cell.write(record)
    assert cell.reconciler().is_needed() == (component != "sync")  # with sync, pods follow by themselves
    with pytest.raises(UserError, match=f"component `{component}`"):
        cell.reconciler()(release(2))


def test_deployment_that_is_gone_is_not_made(cell: Cell) -> None:
    del cell.stand_in.objects["Deployment", NAME]
    with pytest.raises(UserError, match="gone"):
        cell.reconciler()(release(2))
    assert ("Deployment", NAME) not in cell.stand_in.objects


def test_no_answer_of_the_api_server_is_no_failed_rollout(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any) -> None:
        raise ClusterError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(rollout, "wait", away)
        with pytest.raises(ClusterError, match="no answer"):
            cell.reconciler()(release(2))
    assert cell.failures(2) == []
    cell.reconciler()(release(2))
    assert cell.running() == image(2)


def test_token_is_read_anew_for_each_request(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    request = cell.server._client.request

    def watch(*args: Any, **options: Any) -> Any:
        seen.append(options["headers"]["Authorization"])
        return request(*args, **options)

    monkeypatch.setattr(cell.server._client, "request", watch)
    cell.server.get("pod", "a")
    cell.server._token.write_text("renewed")
    cell.server.get("pod", "a")
    assert seen == ["Bearer secret", "Bearer renewed"]


def test_errors_of_the_api_server_are_explained(cell: Cell, tmp_path: Path) -> None:
    away = ApiServer("http://127.0.0.1:9", "models", tmp_path / "token")
    with pytest.raises(ClusterError, match=r"does not answer.*refused"):
        away.get("pod", "a")
    content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "77"}}
    with pytest.raises(ConflictError, match="meanwhile"):
        cell.server.put(content)
    cell.server._client.headers["Impersonate-User"] = "nobody"
    with pytest.raises(ClusterError, match=r"(?s)does not allow this service account.*`reconcile`.*nobody"):
        cell.server.find("pod")


def test_pod_without_a_token_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "9")
    with pytest.raises(UserError, match=r"has no token.*`reconcile`"):
        ApiServer.of_pod()


def test_kubectl_does_the_same(cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    clusters = [{"name": "c", "cluster": {"server": cell.server.url}}]
    contexts = [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "models"}}]
    content = {"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": clusters}
    (tmp_path / "kubeconfig").write_text(json.dumps(content | {"contexts": contexts, "users": [{"name": "u"}]}))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(Kubectl, "service", Server.service)
    monkeypatch.setattr(Kubectl, "url", cell.server.url, raising=False)
    cell.reconciler(Kubectl())(release(2))
    assert cell.running() == image(2)
    cell.reconciler(Kubectl())(release(3))
    assert cell.running() == image(2)
    (failure,) = cell.failures(3)
    assert "ImagePullBackOff" in failure.reason and "event: Failed to pull" in failure.reason
    Lease(cell.server, f"{NAME}-reconcile", "another").acquire()
    with pytest.raises(LeaseError, match="another changes"):
        Lease(Kubectl(), f"{NAME}-reconcile", "one").acquire()
