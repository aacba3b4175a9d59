"""The target on a cluster: on the one that KUBECONFIG and TEST_IMAGE name, or on a stand-in for its API server.

TEST_IMAGE is an image of the generated project by digest, which the cluster can pull; it holds version TEST_VERSION.
The golden request goes through kubectl's port-forward, which a stand-in has none of: there it leads to the stand-in.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import yaml
from stand_in import StandIn, serving
from titanic_survival import config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.findings import ok
from titanic_survival.toolkit.diagnosis import cluster as access
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.release.targets.kubernetes import (
    Kubernetes,
    address,
    golden,
    knative,
    kubectl,
    rollout,
    served,
    target,
)
from titanic_survival.toolkit.release.targets.kubernetes.manifests import fit, names_image, rules, split

NAME = config.SERVICE_NAME
VERSION = int(os.environ.get("TEST_VERSION", "1"))
IMAGE = os.environ.get("TEST_IMAGE", "registry.example.com/titanic@sha256:" + 64 * "a")
OTHER = IMAGE.rpartition("@")[0] + "@sha256:" + 64 * "b"
REAL = "TEST_IMAGE" in os.environ
SECONDS = 120 if REAL else 6

# kubectl ends before its garbage collector would be of use; without it a call costs a third less.
SHIM = """#!/bin/sh
case "$*" in
*port-forward*) echo "Forwarding from 127.0.0.1:{port} -> 3000"; exec sleep 60 ;;
*) GOGC=off exec {kubectl} "$@" ;;
esac
"""
#: What breaks the service, as a change of its container, and what the cluster then says.
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "crash": ({"env": [{"name": "STORE", "value": "/nowhere"}]}, r"(?s)CrashLoopBackOff.*log: .*holds no release"),
    "probe": (
        {"readinessProbe": {"httpGet": {"path": "/nothing", "port": "http"}}},
        r"(?s)did not end.*probe failed.*404",
    ),
}


class Killed(BaseException):
    """The end of the process, wherever it was."""


class Cluster:
    """A namespace on a cluster, and a project to deploy to it."""

    def __init__(self, root: Path, namespace: str, stand_in: StandIn | None, rows: list[dict[str, Any]]) -> None:
        self.root, self.namespace, self.stand_in = root, namespace, stand_in
        self.store = Store(root / "store")
        self.champion: Any = SimpleNamespace(example=SimpleNamespace(rows=rows, predictions=[{} for _ in rows]))
        self.release(VERSION)

    def release(self, number: int, aliases: tuple[str, ...] = ("champion",)) -> Release:
        """Release a version, and return the release."""
        release = Release.now("titanic", number, {number: aliases})
        self.store.write(release)
        return release

    def target(self, image: str = IMAGE, **options: Any) -> Kubernetes:
        """Return the target."""
        options = {"namespace": self.namespace, "rollout_seconds": SECONDS} | options
        return Kubernetes(self.root, NAME, self.store, image, **options)

    def deploy(self, image: str = IMAGE, **options: Any) -> str:
        """Deploy the store's release, and return the URL."""
        return self.target(image, **options).apply(self.champion).url

    def edit(self, change: Callable[[dict[str, Any]], None], overlay: str = "staging") -> None:
        """Change an overlay as its owner would."""
        path = self.root / "deploy" / "kubernetes" / "overlays" / overlay / "kustomization.yaml"
        content = yaml.safe_load(path.read_text())
        change(content)
        path.write_text(yaml.safe_dump(content))

    def patch_service(self, change: dict[str, Any]) -> None:
        """Change the container of the service in the overlay."""
        containers = [{"name": "service"} | change]
        patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}}
        patch["spec"] = {"template": {"spec": {"containers": containers}}}
        self.edit(lambda content: content["patches"].append({"patch": yaml.safe_dump(patch)}))

    def objects(self) -> set[tuple[str, str]]:
        """Return kinds and names of the objects that a deploy makes."""
        kinds = "deployments,configmaps,services,serviceaccounts,networkpolicies,ingresses,poddisruptionbudgets"
        found = self.get(f"{kinds},horizontalpodautoscalers,cronjobs")
        return {(o["kind"], o["metadata"]["name"]) for o in found if o["metadata"]["name"].startswith(NAME)}

    def image(self) -> str:
        """Return the image that the cluster runs."""
        return str(self.get("deployments")[0]["spec"]["template"]["spec"]["containers"][0]["image"])

    def get(self, kinds: str) -> list[dict[str, Any]]:
        """Return the objects of the namespace."""
        return list(json.loads(self.kubectl("get", kinds, "--output=json"))["items"])

    def kubectl(self, *args: str, stdin: str = "") -> str:
        """Return what kubectl says."""
        command = ["kubectl", f"--namespace={self.namespace}", *args]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def real_kubectl() -> str:
    """Return where kubectl is; without it, skip the test, or fail if REQUIRE_TOOLS is set."""
    found = shutil.which("kubectl")
    if found is None:
        assert "REQUIRE_TOOLS" not in os.environ, "kubectl is not installed"
        pytest.skip("kubectl is not installed")
    return found


@pytest.fixture
def cluster(
    real_kubectl: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]
) -> Iterator[Cluster]:
    """Return a cluster with an empty namespace."""
    monkeypatch.delenv("CI", raising=False)
    root = tmp_path / "project"
    for folder in ("deploy", "monitoring"):
        shutil.copytree(config.ROOT / folder, root / folder)
    if REAL:
        environment = dict(os.environ)
        namespace = f"test-{uuid4().hex[:8]}"
        subprocess.run(["kubectl", "create", "namespace", namespace], check=True, capture_output=True)
        restricted = "pod-security.kubernetes.io/enforce=restricted"
        subprocess.run(["kubectl", "label", "namespace", namespace, restricted], check=True, capture_output=True)
        try:
            yield Cluster(root, namespace, None, rows[:3])
        finally:
            # Some tests name another cluster meanwhile.
            command = [real_kubectl, "delete", "namespace", namespace, "--wait=false"]
            subprocess.run(command, capture_output=True, env=environment)
        return
    stand_in = StandIn("models", {IMAGE})
    with serving(stand_in) as port:
        tools = tmp_path / "tools"
        tools.mkdir()
        shim = tools / "kubectl"
        shim.write_text(SHIM.format(port=port, kubectl=real_kubectl))
        shim.chmod(shim.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, port)))
        monkeypatch.setattr(rollout, "DENIED_SECONDS", 1)
        monkeypatch.setattr(target, "GOLDEN_SECONDS", 1)
        yield Cluster(root, "models", stand_in, rows[:3])


def kubeconfig(folder: Path, port: int) -> Path:
    """Write a configuration with a user who may do everything, and one who may do nothing."""
    contexts = [{"name": user, "context": {"cluster": "c", "user": user}} for user in ("somebody", "nobody")]
    users = [{"name": "somebody", "user": {}}, {"name": "nobody", "user": {"as": "nobody"}}]
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "somebody",
        "contexts": contexts,
        "users": users,
    }
    content["clusters"] = [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}]
    path = folder / "kubeconfig"
    path.write_text(json.dumps(content))
    return path


def test_deploy_makes_the_release_answer(cluster: Cluster) -> None:
    url = cluster.deploy()
    assert url.startswith("http")
    running = cluster.target().running()
    assert running and running.health == "ready" and running.url == url
    assert running.release.champion == VERSION
    assert running.details["image"] == cluster.image() == IMAGE
    assert {("Deployment", NAME), ("Service", NAME), ("NetworkPolicy", NAME)} <= cluster.objects()


def test_plan_changes_nothing_and_says_what_would(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    release = cluster.store.release()
    assert release
    assert cluster.target().plan(release)
    assert cluster.objects() == set()
    said = capsys.readouterr().out
    name, _, digest = IMAGE.rpartition("/")[2].partition("@sha256:")
    assert re.search(rf"image +- +{name}@{digest[:12]}", said)
    assert f"+ Deployment {NAME}\n" in said
    cluster.deploy()
    assert not cluster.target().plan(release)
    # The same image, other traffic: a plan names it.
    canary = Release.now("titanic", VERSION, {VERSION: ("champion",), 9: ()}, weights={VERSION: 90, 9: 10})
    capsys.readouterr()
    assert cluster.target().plan(canary)
    assert "10 % to 9" in capsys.readouterr().out
    cluster.store.write(canary)
    cluster.deploy()
    running = cluster.target().running()
    assert running and running.release == canary


def test_image_is_built_by_a_deploy_that_names_none_and_not_by_a_plan(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    release, built = cluster.store.release(), []

    def build() -> str:
        built.append(IMAGE)
        return IMAGE

    assert release
    assert cluster.target("", build=build).plan(release)
    assert "built and pushed by deploy" in capsys.readouterr().out
    assert built == []
    cluster.deploy("", build=build)
    assert built == [IMAGE]
    running = cluster.target().running()
    assert running and running.details["image"] == IMAGE
    assert not cluster.target("", build=build).plan(release)
    monkeypatch.setattr(target.provenance, "commit", lambda folder: "1f0c9a2b7d11")
    assert cluster.target("", build=build).plan(release), "another commit is another image"
    assert not cluster.target(IMAGE).plan(release)


def test_image_of_a_component_is_built_by_a_deploy_and_kept(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    built = []

    def build() -> str:
        built.append(IMAGE)
        return IMAGE

    cluster.deploy(parts={"train": build})
    assert built == [], "no component needs it"
    cluster.edit(lambda content: content.update(components=["../../components/retrain"]))
    release = cluster.store.release()
    assert release and cluster.target(parts={"train": build}).plan(release)
    assert f"+ CronJob {NAME}-retrain" in capsys.readouterr().out
    assert built == []
    cluster.deploy(parts={"train": build})
    assert built == [IMAGE]
    job = cluster.get("cronjobs")[0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert job["containers"][0]["image"] == IMAGE
    assert not cluster.target(parts={"train": build}).plan(release)


def test_image_that_the_overlay_names_is_not_built(cluster: Cluster) -> None:
    train = f"{NAME}-train"
    assert not names_image(cluster.root, "staging", train)
    cluster.edit(lambda content: content.update(components=["../../components/retrain"]))
    assert names_image(cluster.root, "staging", train)
    name, _, digest = OTHER.partition("@")
    cluster.edit(lambda content: content.update(images=[{"name": train, "newName": name, "digest": digest}]))
    assert not names_image(cluster.root, "staging", train)
    cluster.deploy(parts={"train": lambda: pytest.fail("built, though it is named")})
    job = cluster.get("cronjobs")[0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert job["containers"][0]["image"] == OTHER


def test_status_asks_pods_that_follow_the_registry(cluster: Cluster) -> None:
    if cluster.stand_in is None:
        pytest.skip("a real cluster needs a registry that its pods reach")
    cluster.edit(lambda content: content.update(components=["../../components/sync"]))
    cluster.deploy(parts={"train": lambda: IMAGE})
    deployed = cluster.store.release()
    actual = Release.now("titanic", 2, {1: (), 2: ("champion",)}, digests={1: "a", 2: "b"}, weights={1: 10, 2: 90})
    cluster.stand_in.release = actual
    running = cluster.target().running()
    assert running and deployed and running.release.same_as(actual)
    assert running.details["deployed"] == deployed.summary()
    going = {"name": "going", "labels": cluster.get("pods")[0]["metadata"]["labels"], "deletionTimestamp": "now"}
    cluster.stand_in.objects["Pod", "going"] = {"metadata": going}
    assert [*served.ask(cluster.target()._kubectl, NAME, "")] == [cluster.get("pods")[0]["metadata"]["name"]]
    cluster.stand_in.release = None
    running = cluster.target().running()
    assert running and running.release == deployed
    assert "404" in running.details["served"]


def test_status_names_pods_that_serve_something_else() -> None:
    old, new = Release.now("titanic", 1, {1: ()}), Release.now("titanic", 2, {2: ()})
    release, details = served.summarize({"a": new, "b": old, "c": new, "d": "503 no release"}, old)
    assert release == new
    assert details == {"deployed": "version 1", "also": "b: serves version 1; d: 503 no release"}


def test_plan_names_a_manifest_that_somebody_changed(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.deploy()
    release = cluster.store.release()
    assert release
    cluster.edit(lambda content: content["patches"].append(
        {"target": {"kind": "PodDisruptionBudget"}, "patch": '[{"op":"add","path":"/spec/maxUnavailable","value":3}]'}
    ))  # fmt: skip
    capsys.readouterr()
    assert cluster.target().plan(release)
    said = capsys.readouterr().out
    assert f"~ PodDisruptionBudget {NAME}\n" in said and re.search(r"\+ +maxUnavailable: 3", said)
    assert "Deployment" not in said.replace("after deploy", "")


@pytest.mark.parametrize("kind", BROKEN)
def test_failed_rollout_goes_back_and_says_why(cluster: Cluster, kind: str) -> None:
    cluster.deploy()
    change, words = BROKEN[kind]
    cluster.patch_service(change)
    seconds = 20 if REAL else 1
    with pytest.raises(UserError, match=words) as raised:
        cluster.deploy(rollout_seconds=seconds if kind == "probe" else SECONDS)
    assert len(str(raised.value).splitlines()) <= 24, "more than a screen"
    running = cluster.target().running()
    assert running and running.health == "ready"
    container = cluster.get("deployments")[0]["spec"]["template"]["spec"]["containers"][0]
    assert not any(item.items() <= container.items() for item in [change])


def test_pod_of_another_deployment_does_not_fail_the_rollout(cluster: Cluster) -> None:
    if cluster.stand_in is None:
        pytest.skip("only a stand-in has pods that break when they should")
    cluster.deploy()
    labels = {"app.kubernetes.io/name": NAME, "pod-template-hash": "other"}
    annotations = {"deployment.kubernetes.io/revision": "2"}
    owners = [{"kind": "Deployment", "name": f"{NAME}-reconcile"}]
    waiting = {"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    # The stand-in keeps what has the good template's hash in its name.
    other = cluster.get("replicasets")[0]["metadata"]["name"].replace(NAME, "other")
    metadata = {"name": other, "labels": labels, "annotations": annotations, "ownerReferences": owners}
    cluster.stand_in.objects["ReplicaSet", other] = {"metadata": metadata}
    cluster.stand_in.objects["Pod", other] = {"metadata": metadata, "status": {"containerStatuses": [waiting]}}
    cluster.patch_service({"readinessProbe": {"httpGet": {"path": "/nothing", "port": "http"}}})
    with pytest.raises(UserError, match="probe failed"):
        cluster.deploy(rollout_seconds=3)


def test_image_that_cannot_be_pulled_is_named(cluster: Cluster) -> None:
    cluster.deploy()
    with pytest.raises(UserError, match=r"(?s)ImagePullBackOff.*event: .*pull"):
        cluster.deploy(OTHER)
    assert cluster.image() == IMAGE
    running = cluster.target().running()
    assert running and running.details["image"] == IMAGE


def test_first_deploy_that_fails_leaves_nothing(cluster: Cluster) -> None:
    with pytest.raises(UserError, match="ImagePullBackOff"):
        cluster.deploy(OTHER)
    assert cluster.objects() == set()
    assert cluster.target().running() is None


def test_quota_is_named(cluster: Cluster) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    cluster.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(quota))
    with pytest.raises(UserError, match="exceeded quota"):
        cluster.deploy()


def test_golden_request_that_fails_goes_back(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.deploy()
    before = cluster.get("deployments")[0]["spec"]["template"]
    monkeypatch.setattr(target, "GOLDEN_SECONDS", 0)
    monkeypatch.setattr(golden, "ask", lambda *args: "500 the model fell over")
    cluster.patch_service({"env": [{"name": "GOLDEN", "value": "broken"}]})
    with pytest.raises(UserError, match=r"golden request .* failed: 500 the model fell over"):
        cluster.deploy()
    assert cluster.get("deployments")[0]["spec"]["template"] == before


def test_release_of_another_version_is_not_taken_for_ours(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "GOLDEN_SECONDS", 0)
    cluster.release(77)
    if cluster.stand_in:
        monkeypatch.setattr(golden.requests, "post", lambda *args, **options: SimpleNamespace(  # type: ignore[attr-defined]
            ok=True, json=lambda: [{"version": 1}] * 3
        ))  # fmt: skip
    with pytest.raises(UserError, match="golden request"):
        cluster.deploy()


def test_image_with_another_version_of_the_same_number_is_not_taken_for_ours() -> None:
    example = SimpleNamespace(rows=[{}], predictions=[{"label": "yes", "proba": 0.25}])
    champion: Any = SimpleNamespace(example=example)
    for prediction, words in (
        ({"label": "yes", "proba": 0.2500001}, ""),
        ({"label": "no", "proba": 0.25}, "another version 3"),
        ({"label": "yes", "proba": None}, "another version 3"),
    ):
        answer = SimpleNamespace(ok=True, json=lambda found=prediction: [found | {"version": 3}])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("requests.post", lambda *args, found=answer, **options: found)
            problem = golden.ask("http://127.0.0.1:9", champion, 3, "")
        assert words in problem and bool(words) == bool(problem)


@pytest.mark.parametrize("call", range(4, 14))
def test_deploy_after_an_interruption_reaches_the_same_state(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Kill a deploy before its n-th call of kubectl; with another component then, so that some objects are too many."""
    if REAL and call % 3:
        pytest.skip("every third on a real cluster")
    run, calls = kubectl.Kubectl.run, iter(range(100))

    def killed(self: kubectl.Kubectl, *args: str, **options: Any) -> str:
        if next(calls) == call:
            raise Killed
        return run(self, *args, **options)

    cluster.edit(lambda content: content.update(components=["../../components/ingress", "../../components/retrain"],
                                                images=[{"name": f"{NAME}-train", "newName": "t", "digest": "sha256:" + 64 * "c"}]))  # fmt: skip # noqa: E501
    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(kubectl.Kubectl, "run", killed)
        cluster.deploy()
    cluster.edit(lambda content: content.update(components=["../../components/ingress"]))
    cluster.deploy()
    found = cluster.objects()
    assert ("Ingress", NAME) in found and ("CronJob", f"{NAME}-retrain") not in found
    release = cluster.store.release()
    assert release and not cluster.target().plan(release)
    assert cluster.target().remove()
    assert cluster.objects() == set()


def test_component_taken_out_is_deleted_and_comes_back_with_a_rollback(cluster: Cluster) -> None:
    cluster.edit(lambda content: content.update(components=["../../components/ingress"]))
    cluster.deploy()
    cluster.edit(lambda content: content.update(components=[]))
    second = cluster.release(VERSION, ("champion", "challenger"))
    cluster.deploy()
    assert ("Ingress", NAME) not in cluster.objects()
    running = cluster.target().running()
    assert running and running.release == second
    assert cluster.target().rollback(VERSION).versions == {VERSION: ("champion",)}
    assert ("Ingress", NAME) in cluster.objects()
    with pytest.raises(UserError, match=r"served version \d+, not 99\. To serve 99: make deploy"):
        cluster.target().rollback(99)
    # And again: back to what was before the rollback.
    assert cluster.target().rollback(VERSION) == second


def test_rollback_without_an_earlier_deployment_says_so(cluster: Cluster) -> None:
    cluster.deploy()
    with pytest.raises(UserError, match="no earlier deployment"):
        cluster.target().rollback(VERSION)


def test_remove_leaves_nothing(cluster: Cluster) -> None:
    assert not cluster.target().remove()
    cluster.deploy()
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{NAME}-of-another"}}
    cluster.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(foreign))
    assert cluster.target().remove()
    assert cluster.objects() == {("ConfigMap", f"{NAME}-of-another")}
    assert cluster.get("pods") == []
    assert not cluster.target().remove()


def test_status_names_what_somebody_changed(cluster: Cluster) -> None:
    cluster.deploy()
    deployment = cluster.get("deployments")[0]
    container = {"name": "service", "image": OTHER}
    change = {"spec": {"template": {"spec": {"containers": [container]}}}}
    if cluster.stand_in:
        deployment["spec"]["template"]["spec"]["containers"][0] |= container
        cluster.stand_in.objects["Deployment", NAME]["spec"] = deployment["spec"]
    else:
        cluster.kubectl("patch", "deployment", NAME, "--patch", json.dumps(change))
    running = cluster.target().running()
    assert running and OTHER in running.details["differs"]
    cluster.deploy()
    running = cluster.target().running()
    assert running and "differs" not in running.details
    cluster.kubectl("delete", "deployment", NAME)
    running = cluster.target().running()
    assert running and "gone" in running.health


def test_production_wants_a_confirmation(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    with pytest.raises(UserError, match="YES=1"):
        cluster.deploy(overlay="production")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda question: "no")
    with pytest.raises(UserError, match="Nothing was changed"):
        cluster.deploy(overlay="production")
    assert cluster.objects() == set()
    monkeypatch.setenv("CI", "true")
    cluster.edit(lambda content: content.update(patches=content["patches"][:1]), "production")
    cluster.deploy(overlay="production")
    monkeypatch.delenv("CI")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    with pytest.raises(UserError, match="YES=1"):
        cluster.target(overlay="production").remove()
    assert cluster.target(overlay="production", confirmed=True).remove()


def test_missing_kubectl_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="kubectl is not installed"):
        cluster.target().running()


def test_no_context_is_named(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"(?s)no such context.*KUBERNETES_CONTEXT"):
        cluster.target(context="another").running()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"no current context.*use-context"):
        cluster.target().running()


def test_cluster_that_cannot_be_reached_is_named(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, 9)))
    with pytest.raises(UserError, match=r"(?s)cannot be reached.*refused"):
        cluster.deploy()


def test_cluster_that_does_not_answer_in_time_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    if cluster.stand_in is None:
        pytest.skip("a real cluster answers")
    monkeypatch.setattr(kubectl, "REQUEST_SECONDS", 1)
    cluster.stand_in.answering.clear()
    with pytest.raises(UserError, match=r"cannot be reached|does not answer"):
        cluster.target().running()
    cluster.stand_in.answering.set()


def test_forbidden_is_named_and_changes_nothing(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if REAL:
        view = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
        view["users"][0]["user"]["as"] = "nobody"
        path = tmp_path / "nobody"
        path.write_text(json.dumps(view))
        monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(UserError, match=r"(?s)does not allow this user.*role `edit`.*nobody"):
        cluster.deploy(**({} if REAL else {"context": "nobody"}))


def test_image_without_a_digest_is_rejected(cluster: Cluster) -> None:
    with pytest.raises(UserError, match="titanic:1 is not named by its digest"):
        cluster.deploy("registry.example.com/titanic:1")
    with pytest.raises(UserError, match="IMAGE is not set"):
        cluster.deploy("")
    cluster.edit(lambda content: content.update(components=["../../components/retrain"]))
    with pytest.raises(UserError, match=rf"{NAME}-train is not named by its digest.*images"):
        cluster.deploy()
    assert cluster.objects() == set()


def test_overlay_that_is_not_there_is_named(cluster: Cluster) -> None:
    with pytest.raises(UserError, match="KUBERNETES_OVERLAY"):
        cluster.deploy(overlay="another")


def test_old_cluster_is_told_from_the_components(cluster: Cluster) -> None:
    if cluster.stand_in is None:
        pytest.skip("a real cluster has the version it has")
    cluster.edit(lambda content: content.update(components=["../../components/image-volume"]))
    release = cluster.store.release()
    assert release
    cluster.stand_in.version = ("1", "34+")
    with pytest.raises(UserError, match=r"runs Kubernetes 1\.34, and a component of the overlay needs 1\.35"):
        cluster.target().plan(release)


def test_kinds_that_the_cluster_lacks_are_left_out_or_named() -> None:
    text = "apiVersion: {0}\nkind: Thing\nmetadata:\n  name: x\n"
    route, knative = (split(text.format(api))[0] for api in ("gateway.networking.k8s.io/v1", "serving.knative.dev/v1"))
    assert fit([route], {"gateway.networking.k8s.io/v1"}, (1, 30)) == ([route], [])
    kept, notes = fit([route], {"v1"}, (1, 30))
    assert kept == [] and "Thing left out" in notes[0] and "ingress" in notes[0]
    with pytest.raises(UserError, match=r"does not know serving\.knative\.dev/v1"):
        fit([knative], {"v1"}, (1, 30))


def test_rules_of_the_operator_are_those_of_monitoring() -> None:
    path = config.ROOT / "monitoring" / "rules.yml"
    made = yaml.safe_load(rules(path, NAME))
    assert made["spec"] == yaml.safe_load(path.read_text())
    assert (made["kind"], made["metadata"]["name"]) == ("PrometheusRule", NAME)


def test_missing_rights_on_kinds_of_other_projects_are_told_from_the_role_edit() -> None:
    words = (
        'Error from server (Forbidden): {0} "x" is forbidden: User "a" cannot patch resource "{0}" in API group "{1}"'
    )
    route, job = (words.format(*kind) for kind in (("httproutes", "gateway.networking.k8s.io"), ("jobs", "batch")))
    message = kubectl.explain("apply", f"{route}\n{route}\n")
    assert "rights on httproutes.gateway.networking.k8s.io" in message
    assert message.count("Error from server") == 1
    assert "Ask its administrator for the role `edit`" in kubectl.explain("apply", f"{route}\n{job}\n")


class Answers:
    """Stands for kubectl: objects by kind."""

    namespace = "models"

    def __init__(self, **objects: Any) -> None:
        self._objects = objects

    def get(self, kind: str, *args: str) -> Any:
        """Return an object."""
        return self._objects[kind]

    def command(self, *args: str) -> list[str]:
        """Return a command line."""
        return ["kubectl", "--namespace=models", *args]


@pytest.mark.parametrize(
    ("hostname", "url"),
    [("a.example.com", f"http://a.example.com/{NAME}"), ("*.example.com", f"http://192.0.2.7/{NAME}"), (None, "")],
)
def test_url_is_that_of_the_gateway_or_comes_with_a_way_to_call_it(hostname: str | None, url: str) -> None:
    rules = [{"matches": [{"path": {"value": f"/{NAME}"}}]}]
    route = {"spec": {"rules": rules, "parentRefs": [{"name": "gateway"}]}}
    gateway = {"spec": {"listeners": [{"hostname": hostname, "port": 80, "protocol": "HTTP"}]}}
    answers: Any = Answers(httproute=route, gateway=gateway | {"status": {"addresses": [{"value": "192.0.2.7"}]}})
    if hostname is None:
        answers = Answers(httproute=route, gateway=None)
    manifests = split(f"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: {NAME}\n")
    found = address.find(answers, NAME, manifests)
    assert found == (url or f"http://{NAME}.models.svc")
    assert bool(address.hint(answers, NAME, found)) == (not url)
    if not url:
        assert f"port-forward service/{NAME} 3000:80" in address.hint(answers, NAME, found)


def test_route_that_leads_nowhere_is_named() -> None:
    manifests = split(f"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: {NAME}\n")
    condition = {"type": "Accepted", "status": "True"}
    denied = condition | {"status": "False", "message": "NotAllowedByListeners"}
    for conditions, words in (
        ([], "no controller has taken it; is there a Gateway public"),
        ([condition], ""),
        ([denied], "Gateway public does not take it: NotAllowedByListeners"),
    ):
        parents = [{"parentRef": {"name": "public"}, "conditions": conditions}] if conditions else []
        route = {"spec": {"parentRefs": [{"name": "public"}]}, "status": {"parents": parents}}
        answers: Any = Answers(httproute=route)
        problem = address.route_problem(answers, NAME, manifests)
        assert words in problem and bool(words) == bool(problem)
    assert address.route_problem(answers, NAME, []) == ""


def knative_service(ready: str, generation: int = 1) -> dict[str, Any]:
    """Return a Service of Knative whose condition Ready has a status."""
    condition = {"type": "Ready", "status": ready, "reason": "RevisionFailed", "message": "the container ended"}
    status = {"observedGeneration": generation, "conditions": [condition], "url": "http://titanic.example.com"}
    return {"metadata": {"generation": 1}, "status": status}


def test_service_of_knative_is_waited_for_and_answers_at_its_own_url(monkeypatch: pytest.MonkeyPatch) -> None:
    url = knative.wait(Answers(ksvc=knative_service("True")), NAME, 1)  # type: ignore[arg-type]
    assert url == "http://titanic.example.com"
    asked = []
    monkeypatch.setattr(golden, "ask", lambda url, *args: asked.append(url) or "")
    golden.check(Answers(), NAME, SimpleNamespace(), 1, "", 0, url)  # type: ignore[arg-type]
    assert asked == [url]


@pytest.mark.parametrize(
    ("service", "words"),
    [
        (knative_service("False"), "Knative cannot run the service: RevisionFailed the container ended"),
        (knative_service("Unknown"), "did not end within 0 s: RevisionFailed"),
        (knative_service("True", generation=0), "is its controller running"),
        (None, "was deleted"),
    ],
)
def test_service_of_knative_that_is_not_ready_says_why(service: dict[str, Any] | None, words: str) -> None:
    with pytest.raises(UserError, match=words):
        knative.wait(Answers(ksvc=service), NAME, 0)  # type: ignore[arg-type]
    assert knative.health(Answers(ksvc=service), NAME) != "ready"  # type: ignore[arg-type]


def test_doctor_names_what_the_user_may_not_do(cluster: Cluster) -> None:
    if cluster.stand_in is None:
        pytest.skip("on a real cluster, the user may do everything")
    [finding] = access.check("", cluster.namespace)
    assert finding == ok("Kubernetes 1.36, namespace models")
    cluster.stand_in.denied = {"patch deployments", "create services"}
    [finding] = access.check("", cluster.namespace)
    assert finding.level == "error"
    assert "may not create services, patch deployments in namespace models: ask" in finding.text
