"""Bills of materials: valid CycloneDX, the same for the same inputs, complete, and honest about what is missing."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from titanic_survival import config, sbom
from titanic_survival.shared import container_image
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.release.bom import container, debian, document, inventory, licences, lock, software
from titanic_survival.toolkit.release.bom.libraries import Libraries
from titanic_survival.toolkit.release.bom.models import Origin, models
from titanic_survival.toolkit.release.bom.software import ImageFacts, Subject
from titanic_survival.toolkit.release.container_engine import Engine
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.version.artifact import Artifact

CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SUBJECT = Subject(
    "titanic-survival", "0.1.0", "Who survives", "Ada", "Apache-2.0", ("jinja2>=3", "pytest; extra=='dev'"), ("dev",)
)
FACTS = ImageFacts("example.com/team/name:3-1f0c", f"sha256:{'a' * 64}", "", {"model.name": "titanic"}, "linux/amd64")
OS_RELEASE = {"ID": "debian", "VERSION_ID": "12", "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)"}


def checked(content: dict[str, Any]) -> dict[str, Any]:
    """Return a document that the schema allows, and whose references all lead to components."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(content))
    assert error is None, error
    known = {content["metadata"]["component"]["bom-ref"], *by_ref(content)}
    edges = {edge["ref"]: edge.get("dependsOn", []) for edge in content["dependencies"]}
    assert {ref for ends in edges.values() for ref in ends} | set(edges) <= known
    return content


def by_ref(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the components of a document by their bom-refs, which occur once."""
    found = {component["bom-ref"]: component for component in content["components"]}
    assert len(found) == len(content["components"])
    return found


def depends(content: dict[str, Any], ref: str) -> list[str]:
    """Return what a component of a document depends on."""
    [edge] = [edge for edge in content["dependencies"] if edge["ref"] == ref]
    return edge.get("dependsOn", [])


def values(properties: list[dict[str, str]]) -> dict[str, str]:
    """Return properties by name."""
    return {one["name"]: one["value"] for one in properties}


@pytest.fixture
def described(trained: config.Settings) -> dict[str, Any]:
    """Return the document of the trained version."""
    store = Store(trained.store)
    release = store.required_release()
    return checked(models(SUBJECT, store, release, Origin("https://mlflow.example.com", {1: "abc"}), CREATED))


def test_models_have_card_data_files_origin_and_licence(
    described: dict[str, Any], version: Artifact, trained: config.Settings
) -> None:
    [model] = [one for one in described["components"] if one["type"] == "machine-learning-model"]
    details = version.details
    assert (model["name"], model["version"]) == (trained.model_name, "1")
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert model["purl"].endswith("@1?repository_url=https://mlflow.example.com&run_id=abc")
    facts = values(model["properties"])
    assert facts["commit"] == details["commit"]
    assert facts["run"] == "abc"
    assert facts["aliases"] == "challenger, champion"
    parameters = model["modelCard"]["modelParameters"]
    assert parameters["task"] == version.contract.task
    assert parameters["modelArchitecture"] == details["estimator"] != ""
    assert [one["format"].partition(":")[0] for one in parameters["inputs"]] == list(version.contract.by_name)
    [reference] = parameters["datasets"]
    data = by_ref(described)[reference["ref"]]
    contents = values(data["data"][0]["contents"]["properties"])
    assert contents == {
        "digest": details["data"]["digest"],
        "training rows": str(details["data"]["training_rows"]),
        "holdout rows": str(details["data"]["holdout_rows"]),
    }
    assert depends(described, model["bom-ref"]) == [data["bom-ref"]]
    files = {one["name"]: one["hashes"][0]["content"] for one in model["components"]}
    assert files == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in version.folder.iterdir() if path.is_file()
    }


def test_every_metric_is_there_with_its_slice(described: dict[str, Any], version: Artifact) -> None:
    [model] = [one for one in described["components"] if one["type"] == "machine-learning-model"]
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert [float(metric["value"]) for metric in metrics] == list(version.details["metrics"].values())
    assert {metric["slice"] for metric in metrics if metric["type"] == metrics[0]["type"]} == {
        "hold-out rows",
        *(f"{group.replace('/', ' = ')} ({rows} rows)" for group, rows in version.details["groups"].items()),
    }


def test_failed_gate_is_a_limitation_and_no_licence_is_invented(
    save: Callable[..., Artifact], tmp_path: Path, copied: Callable[[Path], config.Settings]
) -> None:
    settings = copied(tmp_path)
    store = Store(settings.store)
    path = store.path(1) / "details.json"
    details = json.loads(path.read_text())
    details["gates"][0] |= {"passed": False, "reason": "too low"}
    del details["estimator"]  # as in versions of earlier toolkits
    path.write_text(json.dumps(details))
    release = store.required_release().model_copy(update={"digests": {}})
    content = checked(models(SUBJECT._replace(licence=""), store, release, Origin("", {}), None))
    [model] = [one for one in content["components"] if one["type"] == "machine-learning-model"]
    assert model["modelCard"]["considerations"] == {"technicalLimitations": ["too low"]}
    assert "licenses" not in model
    assert "timestamp" not in content["metadata"]


def test_version_that_was_changed_is_not_described(project: config.Settings) -> None:
    store = Store(project.store)
    release = store.required_release()
    released = Release.now(release.model, 1, {1: ()}, digests={1: "0" * 64})
    with pytest.raises(UserError, match="changed after the release"):
        models(SUBJECT, store, released, Origin("", {}), None)


def test_environment_has_hashes_licences_and_graph() -> None:
    hashes = lock.hashes(software.locks(config.ROOT))
    content = checked(software.environment(SUBJECT, hashes, CREATED))
    numpy = next(one for one in content["components"] if one["name"] == "numpy")
    installed = metadata.version("numpy")
    assert numpy["purl"] == f"pkg:pypi/numpy@{installed}"
    assert {one["content"] for one in numpy["hashes"]} == set(hashes["numpy", installed])
    assert len(numpy["hashes"]) > 10
    assert numpy["licenses"]
    optional = next(one for one in content["components"] if one["name"] == "cyclonedx-python-lib")
    assert optional["hashes"]
    assert {one["name"].lower() for one in content["components"]} >= {"python", "mlflow", "onnxruntime"}
    assert "titanic-survival" not in {one["name"] for one in content["components"]}
    mlflow = next(one["bom-ref"] for one in content["components"] if one["name"] == "mlflow")
    assert numpy["bom-ref"] in depends(content, mlflow)
    root = depends(content, content["metadata"]["component"]["bom-ref"])
    assert {ref.partition("@")[0] for ref in root} == {"pkg:generic/python", "pkg:pypi/jinja2", "pkg:pypi/pytest"}


def test_the_same_inputs_give_the_same_document(described: dict[str, Any], trained: config.Settings) -> None:
    store = Store(trained.store)
    again = models(SUBJECT, store, store.required_release(), Origin("https://mlflow.example.com", {1: "abc"}), CREATED)
    assert json.dumps(again) == json.dumps(described)
    other = models(SUBJECT, store, store.required_release(), Origin("", {}), CREATED)
    assert other["serialNumber"] != described["serialNumber"]
    first = software.environment(SUBJECT, {}, CREATED)
    assert first == software.environment(SUBJECT, {}, CREATED)


METADATA = (
    "Name: Jinja2\nVersion: 3.1.6\nRequires-Dist: MarkupSafe>=2\nRequires-Dist: Babel; extra == 'i18n'",
    "Name: MarkupSafe\nVersion: 3.0\nRequires-Dist: colorama; sys_platform == 'win32'",
    "Name: babel\nVersion: 2.0",
    "Name: colorama\nVersion: 1.0",
    "Name: web\nVersion: 1.0\nRequires-Dist: jinja2[i18n]\nRequires-Dist: not a requirement",
    "Name: titanic_survival\nVersion: 0.1.0",
)


def test_dependencies_follow_markers_and_extras() -> None:
    libraries = Libraries(METADATA[:4], inventory.python() | {"sys_platform": "linux"}, "titanic-survival")
    edges = libraries.dependencies("root", ["jinja2", "colorama; extra == 'dev'", "absent"], ())
    assert edges["root"] == {"pkg:pypi/jinja2@3.1.6"}
    assert edges["pkg:pypi/jinja2@3.1.6"] == {"pkg:pypi/markupsafe@3.0"}
    assert edges["pkg:pypi/markupsafe@3.0"] == set()
    libraries = Libraries(METADATA, inventory.python() | {"sys_platform": "win32"}, "titanic-survival")
    edges = libraries.dependencies("root", ["web", "colorama; extra == 'dev'"], ("dev",))
    assert edges["root"] == {"pkg:pypi/web@1.0", "pkg:pypi/colorama@1.0"}
    assert edges["pkg:pypi/jinja2@3.1.6"] == {"pkg:pypi/markupsafe@3.0", "pkg:pypi/babel@2.0"}
    assert edges["pkg:pypi/markupsafe@3.0"] == {"pkg:pypi/colorama@1.0"}
    assert "pkg:pypi/titanic-survival@0.1.0" not in edges


def test_image_has_system_libraries_labels_and_identity() -> None:
    packages = [
        {"Package": "libc6", "Version": "2.36-9", "Architecture": "amd64", "Source": "glibc", "Licences": "LGPL-2.1+"},
        {"Package": "bash", "Version": "5.2-2+b1", "Source": "bash (5.2-2)", "Licences": ""},
    ]
    found = {
        "environment": "serve",
        "python": inventory.python(),
        "distributions": METADATA,
        "operating_system": OS_RELEASE,
        "packages": packages,
    }
    content = checked(software.image(FACTS, found, SUBJECT, {("jinja2", "3.1.6"): ["b" * 64]}, CREATED))
    root = content["metadata"]["component"]
    assert (root["name"], root["version"]) == ("example.com/team/name", "3-1f0c")
    assert root["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert values(root["properties"]) == {"platform": "linux/amd64", "model.name": "titanic"}
    assert "purl" not in root
    parts = by_ref(content)
    libc = parts["pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12&upstream=glibc"]
    assert libc["licenses"] == [{"license": {"id": "LGPL-2.1-or-later"}}]
    assert "pkg:deb/debian/bash@5.2-2%2Bb1?distro=debian-12&upstream=bash%405.2-2" in parts
    assert set(depends(content, root["bom-ref"])) == {"project:titanic-survival", "os:debian@12"}
    assert "pkg:pypi/jinja2@3.1.6" in depends(content, "project:titanic-survival")
    assert parts["pkg:pypi/jinja2@3.1.6"]["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]


@pytest.mark.parametrize(
    ("name", "shown", "purl"),
    [
        ("name:3-1f0c", ("name", "3-1f0c"), None),
        ("localhost:5000/name", ("localhost:5000/name", ""), None),
        (
            f"example.com/team/name@sha256:{'c' * 64}",
            ("example.com/team/name", f"sha256:{'c' * 64}"),
            f"pkg:oci/name@sha256:{'c' * 64}?repository_url=example.com/team/name",
        ),
    ],
)
def test_image_is_named_by_tag_or_digest(name: str, shown: tuple[str, str], purl: str | None) -> None:
    found = {
        "environment": "",
        "python": inventory.python(),
        "distributions": (),
        "operating_system": {},
        "packages": [],
    }
    facts = FACTS._replace(name=name, digest=name.partition("@")[2])
    root = checked(software.image(facts, found, SUBJECT, {}, None))["metadata"]["component"]
    assert (root["name"], root.get("version", "")) == shown
    assert root.get("purl", "").replace("%3A", ":") == (purl or "")


def test_packages_of_the_system_are_read_with_their_licences(tmp_path: Path) -> None:
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nSource: glibc\nDescription: GNU C Library\n"
        " a longer text\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
    )
    copyright = tmp_path / "usr/share/doc/libc6/copyright"
    copyright.parent.mkdir(parents=True)
    copyright.write_text("Format: https://example.com\n\nFiles: *\nLicense: LGPL-2.1+\n\nLicense: Expat\n text\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    assert inventory.operating_system(tmp_path) == {"ID": "debian", "VERSION_ID": "12"}
    [libc] = debian.packages(inventory.packages(tmp_path), inventory.operating_system(tmp_path))
    assert libc["description"] == "GNU C Library"
    assert libc["licenses"] == [{"license": {"id": "MIT"}}, {"license": {"id": "LGPL-2.1-or-later"}}]
    assert inventory.packages(tmp_path / "nowhere") == []


def test_inventory_runs_from_its_text_alone(tmp_path: Path) -> None:
    text = Path(inventory.__file__).read_text()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["python"] == inventory.python()


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("License-Expression: MIT AND Apache-2.0", [{"expression": "MIT AND Apache-2.0"}]),
        ("License-Expression: mit", [{"license": {"id": "MIT"}}]),
        (
            "License: BSD-3-Clause\nClassifier: License :: OSI Approved :: BSD License",
            [{"license": {"id": "BSD-3-Clause"}}],
        ),
        ("License: see LICENSE\nClassifier: License :: OSI Approved :: MIT License", [{"license": {"id": "MIT"}}]),
        ("License: Apache License 2.0", [{"license": {"id": "Apache-2.0"}}]),
        ("License: our own terms", [{"license": {"name": "our own terms"}}]),
        ("License: LicenseRef-Ours", [{"expression": "LicenseRef-Ours"}]),
        (
            f"License: {'x' * 101}\nClassifier: License :: OSI Approved :: BSD License",
            [{"license": {"name": "BSD License"}}],
        ),
        ("License: UNKNOWN", []),
        ("Classifier: License :: OSI Approved", []),
        ("", []),
    ],
)
def test_licences_are_spdx_where_that_follows(fields: str, found: list[Any]) -> None:
    assert licences.of_distribution(HeaderParser().parsestr(f"Name: x\n{fields}")) == found


def test_document_that_the_schema_rejects_is_not_written(tmp_path: Path) -> None:
    content = document.document({"type": "spaceship", "name": "x", "bom-ref": "x"}, [], {}, None)
    with pytest.raises(ValueError, match=r"x.cdx.json is not valid CycloneDX 1.6: .*spaceship"):
        document.write(tmp_path / "x.cdx.json", content)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every container engine away."""
    monkeypatch.setattr(sbom, "find_engine", lambda wanted: None)


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_the_rest_is_written(
    trained: config.Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "image.cdx.json").write_text("of another image")
    paths = sbom.run(trained, tmp_path)
    assert [path.name for path in paths] == ["environment.cdx.json", "model.cdx.json"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert "image: left out. Neither docker" in capsys.readouterr().out
    content = checked(json.loads(paths[1].read_text()))
    assert "run_id=" in content["components"][1]["purl"]
    assert "repository_url" not in content["components"][1]["purl"]  # a file of this machine


def test_without_image_and_release_they_are_left_out(
    project: config.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sbom, "find_engine", lambda wanted: Engine("podman"))
    monkeypatch.setattr(container, "facts", lambda engine, name: None)
    sbom.run(project, tmp_path / "bom")
    name = container_image.name(project, Store(project.store).required_release())
    assert f"image: left out. podman has no image {name}: make build makes it" in capsys.readouterr().out
    Store(project.store).write(None)
    assert [path.name for path in sbom.run(project, tmp_path / "bom")] == ["environment.cdx.json"]
    assert "holds no release: make build or make deploy" in capsys.readouterr().out


@pytest.mark.usefixtures("no_engine")
def test_without_a_registry_the_runs_are_left_out(
    trained: config.Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = trained.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    paths = sbom.run(away, tmp_path)
    assert "The runs of the versions are left out: " in capsys.readouterr().out
    assert "run_id" not in paths[1].read_text()
