"""The manifests of `deploy/kubernetes`: each overlay with components, rendered by kubectl, checked against schemas."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from conftest import Bake

#: Releases of Kubernetes whose schemas hold: the oldest that knows the fields of the components, and newer ones.
VERSIONS = ("1.31", "1.34", "1.37")
OVERLAYS = ("staging", "production")
#: scale-to-zero replaces what the others change, so it stands alone.
TOGETHER = ("sync", "ingress", "batch", "retrain")
#: The one component that asks something of the cluster.
RECONCILE = [("reconcile",), ("reconcile", "ingress", "batch")]
COMBINATIONS = [
    *chain.from_iterable(combinations(TOGETHER, n) for n in range(len(TOGETHER) + 1)),
    ("tokens",),
    ("tokens", "sync"),
    ("scale-to-zero",),
    ("scale-to-zero", "retrain"),
    ("image-volume",),
    ("image-volume", "ingress", "batch"),
    ("stream",),
    ("stream", "sync", "batch"),
    ("monitor",),
    ("monitor", "retrain", "sync"),
]
#: Kinds of the Gateway API, the Prometheus operator and Knative: Kubernetes has no schemas of them.
FOREIGN = ("gateway.networking.k8s.io/", "monitoring.coreos.com/", "serving.knative.dev/")
DIGEST = "sha256:" + 64 * "0"

Manifests = list[dict[str, Any]]
Rendered = Callable[[str, tuple[str, ...]], Manifests]


@pytest.fixture(scope="session")
def kubectl() -> str:
    """Return where kubectl is; without it, skip the test, or fail if REQUIRE_TOOLS is set."""
    found = shutil.which("kubectl")
    if found is None:
        missing = "kubectl is not installed"
        assert "REQUIRE_TOOLS" not in os.environ, missing
        pytest.skip(missing)
    return found


@pytest.fixture(scope="module")
def project(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a baked project."""
    from cookiecutter.main import cookiecutter

    return Path(cookiecutter(str(template), no_input=True, output_dir=str(tmp_path_factory.mktemp("kubernetes"))))


@pytest.fixture(scope="module")
def render(kubectl: str, project: Path) -> Rendered:
    """Return a function that renders an overlay, as a project has it whose owner lists components."""
    return cache(lambda overlay, components: _render(kubectl, project, overlay, components))


def _render(kubectl: str, project: Path, overlay: str, components: tuple[str, ...]) -> Manifests:
    source = project / "deploy" / "kubernetes" / "overlays" / overlay
    copy = source.with_name("tried")
    shutil.copytree(source, copy, dirs_exist_ok=True)
    path = copy / "kustomization.yaml"
    content = yaml.safe_load(path.read_text())
    content["components"] = [f"../../components/{name}" for name in components]
    content["images"] = [
        {"name": f"titanic-survival{part}", "newName": f"registry.example.com/titanic{part}", "digest": DIGEST}
        for part in ("", "-train", "-release")
    ]
    path.write_text(yaml.safe_dump(content))
    done = subprocess.run([kubectl, "kustomize", str(copy)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@cache
def validate(manifest: str) -> None:
    """Raise an exception if an object does not fit the schemas of Kubernetes; most are the same in each combination."""
    for version in VERSIONS:
        kubernetes_validate.validate(json.loads(manifest), version, strict=True)


def pods(manifests: Manifests) -> list[dict[str, Any]]:
    """Return the pods that manifests make: specs with their metadata."""
    found = []
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if manifest["kind"] in ("Deployment", "CronJob") or manifest["apiVersion"].startswith("serving.knative.dev/"):
            found.append(spec["template"])
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("components", [*COMBINATIONS, *RECONCILE], ids="+".join)
def test_manifests_are_valid(render: Rendered, overlay: str, components: tuple[str, ...]) -> None:
    manifests = render(overlay, components)
    for manifest in manifests:
        if not manifest["apiVersion"].startswith(FOREIGN):
            validate(json.dumps(manifest))
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(names) == len(set(names))
    assert all(name.startswith("titanic-survival") for _, name in names)


@pytest.mark.parametrize("components", [*COMBINATIONS, *RECONCILE], ids="+".join)
def test_pods_are_restricted(render: Rendered, components: tuple[str, ...]) -> None:
    """Hold the restricted pod security standard, images by digest, requests and limits, and no token for the API."""
    for pod in pods(render("production", components)):
        spec = pod["spec"]
        reconciles = pod["metadata"]["labels"]["app.kubernetes.io/component"] == "reconcile"
        assert spec["automountServiceAccountToken"] is reconciles
        shared = spec.get("securityContext", {})
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
        assert {key for volume in spec["volumes"] for key in volume} <= {
            "name", "emptyDir", "persistentVolumeClaim", "image", "secret"
        }  # fmt: skip
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            context = shared | container["securityContext"]
            assert context["runAsNonRoot"] is True
            assert context["runAsUser"] == 10001
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["image"].endswith(f"@{DIGEST}")
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
    release = [v["image"]["reference"] for v in spec["volumes"] if "image" in v]
    assert all(reference.endswith(f"@{DIGEST}") for reference in release)


@pytest.mark.parametrize("components", COMBINATIONS, ids="+".join)
def test_nothing_needs_rights_on_the_cluster(render: Rendered, components: tuple[str, ...]) -> None:
    kinds = {manifest["kind"] for manifest in render("production", components)}
    assert not {kind for kind in kinds if kind.startswith("Cluster") or kind in ("Role", "RoleBinding", "Namespace")}


def test_reconciler_has_no_more_rights_than_it_uses(render: Rendered) -> None:
    manifests = render("production", ("reconcile",))
    found = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests}
    name = "titanic-survival-reconcile"
    rules = found["Role", name]["rules"]
    changing = [rule for rule in rules if set(rule["verbs"]) - {"get", "list"}]
    assert all(rule["resourceNames"] for rule in changing)
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "patch", "update"}
    assert "secrets" not in {resource for rule in rules for resource in rule["resources"]}
    binding = found["RoleBinding", name]
    assert (binding["roleRef"]["name"], [subject["name"] for subject in binding["subjects"]]) == (name, [name])
    accounts = {pod["spec"]["serviceAccountName"] for pod in pods(manifests)}
    assert accounts == {"titanic-survival", name}
    lease = found["Lease", name]
    assert "spec" not in lease, "a deployment would take what the holder writes"


def test_selectors_find_the_service_and_nothing_else(render: Rendered) -> None:
    manifests = render("production", ("sync", "batch", "retrain", "monitor", "reconcile", "stream"))
    others = ("reconcile", "stream")
    named = [(manifest["metadata"]["name"], manifest) for manifest in manifests]
    kinds = {manifest["kind"]: manifest for name, manifest in named if not any(part in name for part in others)}
    labels = [pod["metadata"]["labels"] for pod in pods(manifests)]
    for selector in (
        kinds["Service"]["spec"]["selector"],
        kinds["Deployment"]["spec"]["selector"]["matchLabels"],
        kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        kinds["PodMonitor"]["spec"]["selector"]["matchLabels"],
        *(c["labelSelector"]["matchLabels"] for c in pods(manifests)[0]["spec"]["topologySpreadConstraints"]),
    ):
        assert [selector.items() <= found.items() for found in labels].count(True) == 1
    monitor = next(m for name, m in named if m["kind"] == "PodMonitor" and name.endswith("-stream"))
    selected = monitor["spec"]["selector"]["matchLabels"].items()
    assert [selected <= found.items() for found in labels].count(True) == 1
    assert len(labels) == 6
    # Default deny holds for all of them.
    denied = next(m for m in manifests if m["kind"] == "NetworkPolicy" and m["metadata"]["name"] == "titanic-survival")
    assert denied["spec"]["policyTypes"] == ["Ingress", "Egress"] and "egress" not in denied["spec"]
    assert all(denied["spec"]["podSelector"]["matchLabels"].items() <= found.items() for found in labels)


def test_probes_ask_three_questions_and_draining_fits_the_grace_period(render: Rendered, project: Path) -> None:
    pod = pods(render("staging", ()))[0]["spec"]
    service = pod["containers"][0]
    assert service["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert service["livenessProbe"]["httpGet"]["path"] == service["startupProbe"]["httpGet"]["path"] == "/livez"
    wait = int(service["lifecycle"]["preStop"]["exec"]["command"][-1])
    source = (project / "titanic_survival" / "toolkit" / "serving" / "server.py").read_text()
    grace = int(re.search(r"GRACE_SECONDS = (\d+)", source)[1])  # type: ignore[index]
    assert pod["terminationGracePeriodSeconds"] > wait + grace


def test_sync_starts_from_the_image_and_shares_the_store(render: Rendered) -> None:
    pod = pods(render("production", ("sync",)))[0]
    release, sync = pod["spec"]["initContainers"]
    assert (release["name"], sync["name"], sync["restartPolicy"]) == ("release", "sync", "Always")
    assert "restartPolicy" not in release
    for container in (release, sync, pod["spec"]["containers"][0]):
        assert {"name": "store", "mountPath": "/store"} in container["volumeMounts"]
    assert {"name": "STORE", "value": "/store"} in pod["spec"]["containers"][0]["env"]
    assert pod["metadata"]["labels"]["registry"] == "client"


def test_job_of_a_batch_goes_on_where_a_pod_ended(render: Rendered) -> None:
    manifests = render("production", ("batch",))
    cron = next(manifest for manifest in manifests if manifest["kind"] == "CronJob")
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    # As `kubectl create job --from=cronjob/...` makes it.
    template = cron["spec"]["jobTemplate"]
    validate(
        json.dumps({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": template["spec"]})
    )
    job, pod = template["spec"], template["spec"]["template"]["spec"]
    [container] = pod["containers"]
    settings = {variable["name"]: variable["value"] for variable in container["env"]}
    assert job["backoffLimit"] > 0
    assert job["activeDeadlineSeconds"] > 3600
    assert (settings["RESUME"], pod["restartPolicy"]) == ("1", "Never")
    assert job["podFailurePolicy"]["rules"] == [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    ], "a drained node is no failure"
    assert [volume["emptyDir"] for volume in pod["volumes"]] == [{"sizeLimit": "10Gi"}]
    assert {"secretRef": {"name": "titanic-survival", "optional": True}} in container["envFrom"]
    # Otherwise as many threads score as the node has processors.
    assert container["resources"]["limits"]["cpu"] == container["resources"]["requests"]["cpu"]
    command, source, output = container["args"]
    assert (command, source[-1], output[-1]) == ("predict", "/", "/"), "only folders can be resumed"


def test_job_of_monitoring_is_never_twice_and_writes_where_it_may(render: Rendered) -> None:
    manifests = render("production", ("monitor",))
    cron = next(manifest for manifest in manifests if manifest["kind"] == "CronJob")
    job = cron["spec"]["jobTemplate"]["spec"]
    # A training may have been started: a second attempt at once is no help.
    assert (cron["spec"]["concurrencyPolicy"], job["backoffLimit"]) == ("Forbid", 0)
    pod = job["template"]
    [container] = pod["spec"]["containers"]
    command, source, _ = container["args"]
    assert (command, source[-1]) == ("monitor", "/")
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp", "/app/build"}
    assert {"secretRef": {"name": "titanic-survival", "optional": True}} in container["envFrom"]
    [policy] = [m for m in manifests if m["kind"] == "NetworkPolicy" and m["metadata"]["name"].endswith("-monitor")]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert pod["metadata"]["labels"]["registry"] == "client", "MLflow, and triggers by TLS"


def test_jobs_reach_a_pushgateway_and_others_do_not(render: Rendered) -> None:
    manifests = render("production", ("batch", "retrain"))
    [policy] = [
        m["spec"] for m in manifests if m["kind"] == "NetworkPolicy" and m["metadata"]["name"].endswith("-batch")
    ]
    selected = [
        pod
        for pod in pods(manifests)
        if policy["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    ]
    assert [pod["spec"]["containers"][0]["name"] for pod in selected] == ["batch"]
    assert {"port": 9091} in [port for rule in policy["egress"] for port in rule["ports"]]


def test_ingress_and_route_use_the_path_of_the_service(render: Rendered) -> None:
    route = {m["kind"]: m for m in render("staging", ())}
    path = route["HTTPRoute"]["spec"]["rules"][0]["matches"][0]["path"]
    settings = next(m for m in route.values() if m["kind"] == "ConfigMap" and "ROOT_PATH" in m["data"])
    assert path == {"type": "PathPrefix", "value": settings["data"]["ROOT_PATH"]}
    assert settings["data"].items() >= {"MODEL_NAME": "titanic-survival", "ROOT_PATH": "/titanic-survival"}.items()
    ingress = {m["kind"]: m for m in render("staging", ("ingress",))}
    assert "HTTPRoute" not in ingress
    assert ingress["Ingress"]["spec"]["rules"][0]["http"]["paths"][0]["path"] == path["value"]
    assert "annotations" not in ingress["Ingress"]["metadata"]


def test_scale_to_zero_replaces_what_would_keep_pods(render: Rendered) -> None:
    manifests = render("production", ("scale-to-zero",))
    kinds = [manifest["kind"] for manifest in manifests]
    assert not {"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "HTTPRoute"} & set(kinds)
    services = [manifest["apiVersion"] for manifest in manifests if manifest["kind"] == "Service"]
    assert services == ["serving.knative.dev/v1"]


def test_dashboard_is_the_one_of_monitoring(render: Rendered, project: Path) -> None:
    manifests = render("staging", ())
    dashboard = next(m for m in manifests if m["metadata"]["name"] == "titanic-survival-dashboard")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    content = json.loads((project / "monitoring" / "dashboard.json").read_text())
    assert json.loads(dashboard["data"]["dashboard.json"]) == content


def test_names_follow_the_answers(kubectl: str, bake: Bake) -> None:
    project = bake(project_name="Credit risk", model_name="risk", mlflow_tracking_uri="https://mlflow.example.com")
    source = project / "deploy" / "kubernetes" / "overlays" / "production"
    done = subprocess.run([kubectl, "kustomize", str(source)], capture_output=True, text=True, check=True)
    manifests = [document for document in yaml.safe_load_all(done.stdout) if document]
    assert all(manifest["metadata"]["name"].startswith("credit-risk") for manifest in manifests)
    settings = next(m["data"] for m in manifests if m["kind"] == "ConfigMap" and "ROOT_PATH" in m["data"])
    assert settings["MODEL_NAME"] == "risk"
    assert settings["MLFLOW_TRACKING_URI"] == "https://mlflow.example.com"
