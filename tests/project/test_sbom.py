"""Bills of materials and their audit, of a real environment, image and release; the service is one of this machine."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Project, free_port, needed, running
from .test_image import Containers, named

pytestmark = pytest.mark.slow

SERVICE = Path(__file__).parents[1] / "toolkit" / "release" / "bom" / "osv_service.py"
VALIDATE = """
import json, pathlib
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
validator = JsonStrictValidator(SchemaVersion.V1_6)
paths = sorted(pathlib.Path("build/sbom").iterdir())
print(json.dumps({path.name: str(validator.validate_str(path.read_text()) or "valid") for path in paths}))
"""


@pytest.fixture(scope="module")
def containers() -> Containers:
    """Return the engine that the tests are told, or the first that there is."""
    return Containers(needed(os.environ.get("CONTAINER_ENGINE", "podman")))


@pytest.fixture(scope="module")
def built(project: Project, containers: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a copy with a version, its image and the bills of materials of both."""
    copy = project.copy(tmp_path_factory.mktemp("sbom") / "titanic-survival")
    copy.env["IMAGE_REPOSITORY"] = f"localhost/test-{uuid.uuid4().hex[:8]}/titanic-survival"
    copy.make("train")
    name = named(copy.make("build"))
    copy.make("sbom")
    yield copy
    containers("rmi", "--force", name)


def content(project: Project, name: str) -> dict[str, Any]:
    """Return a document that was written."""
    return json.loads((project.path / f"build/sbom/{name}.cdx.json").read_text())


def packages(document: dict[str, Any], kind: str) -> dict[str, str]:
    """Return the versions of a document's packages of a kind, by name."""
    found = [one for one in document["components"] if one.get("purl", "").startswith(f"pkg:{kind}/")]
    return {one["name"]: one["version"] for one in found}


def test_documents_are_valid(built: Project) -> None:
    assert built.python(VALIDATE) == {
        "environment.cdx.json": "valid",
        "image.cdx.json": "valid",
        "model.cdx.json": "valid",
    }


def test_image_is_listed_as_it_is(built: Project, containers: Containers) -> None:
    document = content(built, "image")
    root = document["metadata"]["component"]
    image = f"{root['name']}:{root['version']}"
    found = containers.inspect(image)
    assert root["hashes"][0]["content"] == found["Id"].removeprefix("sha256:")
    labels = {one["name"]: one["value"] for one in root["properties"]}
    assert labels.items() >= found["Config"]["Labels"].items()

    def run(*words: str) -> list[list[str]]:
        output = containers("run", "--rm", "--network=none", f"--entrypoint={words[0]}", image, *words[1:])
        return [line.split() for line in output.splitlines()]

    assert packages(document, "deb") == dict(run("dpkg-query", "-W", "-f", "${Package} ${Version}\n"))
    show = "from importlib import metadata as m; [print(d.metadata['Name'], d.version) for d in m.distributions()]"
    libraries = packages(document, "pypi")
    assert libraries.items() >= dict(run("python", "-c", show)).items()
    assert "bentoml" in libraries
    assert "pandas" not in libraries
    assert [one["version"] for one in document["components"] if one["name"] == "python"] == [
        run("python", "--version")[0][1]
    ]
    assert all(one["hashes"] for one in document["components"] if one["name"] in ("bentoml", "numpy", "onnxruntime"))


def test_model_is_that_of_the_registry(built: Project) -> None:
    [model] = [one for one in content(built, "model")["components"] if one["type"] == "machine-learning-model"]
    version = built.registry()["versions"]["1"]
    assert f"run_id={version['run']}" in model["purl"]
    facts = {one["name"]: one["value"] for one in model["properties"]}
    assert facts["digest"] == version["digest"]
    assert facts["commit"] == version["commit"]
    assert "licenses" not in model


def test_the_same_inputs_give_the_same_files(built: Project) -> None:
    before = {name: content(built, name) for name in ("environment", "image", "model")}
    built.make("sbom")
    assert {name: content(built, name) for name in before} == before


def test_audit_finds_what_is_planted_in_library_and_system(built: Project, tmp_path: Path) -> None:
    image = content(built, "image")
    library, package = packages(image, "pypi")["Jinja2"], packages(image, "deb")["base-files"]
    [system] = [one for one in image["components"] if one["type"] == "operating-system"]
    planted = [
        affecting("PYSEC-1", "PyPI", "jinja2", library, "99.0", aliases=["CVE-2026-1"]),
        affecting(
            "DEBIAN-CVE-2026-2", f"Debian:{system['version']}", "base-files", package, "99.0", upstream=["CVE-2026-2"]
        ),
    ]
    (tmp_path / "planted.json").write_text(json.dumps(planted))
    port = free_port()
    command = [sys.executable, str(SERVICE), str(port), str(tmp_path / "planted.json")]
    url = f"http://127.0.0.1:{port}"
    with running(command, f"{url}/v1/vulns/PYSEC-1", tmp_path, dict(os.environ)):
        output = built.make("audit", ok=False, ADVISORY_URL=url)
        assert "Error 1" in output
        rows = [line.split() for line in output.splitlines()]
        assert ["Jinja2", library, "CVE-2026-1", "99.0", "environment,", "image"] in rows
        assert "CVE-2026-2" in output
        (built.path / "audit.accepted").write_text("CVE-2026-1 only our own templates\nCVE-2026-2 is planted\n")
        audit = (".venv/bin/python", "-m", built.package, "audit")
        assert "No known vulnerability" in built.run(*audit, ADVISORY_URL=url)
    output = built.make("audit", ok=False, ADVISORY_URL=url)
    assert "Error 3" in output
    assert "Not checked: no advisory service answered" in output


def affecting(name: str, ecosystem: str, package: str, version: str, fixed: str, **more: Any) -> dict[str, Any]:
    """Return an advisory about one version of a package."""
    events = [{"introduced": "0"}, {"fixed": fixed}]
    affected = {
        "package": {"ecosystem": ecosystem, "name": package},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
        "versions": [version],
    }
    return {"id": name, "affected": [affected], **more}
