"""What was deployed, kept in a ConfigMap beside it: the last good deployment, the one before, and every object made."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import datetime

from pydantic import BaseModel, ValidationError

from ...store import Release
from .cluster import Cluster
from .kubectl import Kubectl, KubectlError

KEY = "record.json.gz"


class Deployed(BaseModel):
    """A deployment that answered its golden request; its JSON is read by later versions of this code."""

    release: Release
    image: str
    #: Of the code that the image was built from; "" where the image was named.
    commit: str = ""
    #: Images of parts beside the service, by the end of their names.
    parts: dict[str, str] = {}
    #: All objects, as they were applied.
    manifests: str
    since: datetime


class Record(BaseModel):
    """The record of one project in one namespace."""

    current: Deployed | None = None
    previous: Deployed | None = None
    #: Every object that a deploy may have made, also one that was interrupted.
    objects: list[str] = []
    #: The folder of deploy/kubernetes/overlays that was deployed.
    overlay: str = ""
    #: The image of a reconciliation that has begun and not ended, "" if there is none.
    pending: str = ""

    @classmethod
    def read(cls, cluster: Cluster, name: str) -> Record:
        """Return the record, an empty one where there is none."""
        found = cluster.get("configmap", name)
        try:
            data = base64.b64decode(found["binaryData"][KEY]) if found else b""
            return cls.model_validate_json(gzip.decompress(data)) if data else cls()
        except (KeyError, ValueError, ValidationError, OSError):
            # Without it, the next deploy has nothing to go back to; that is no reason not to deploy.
            return cls()

    def write(self, cluster: Cluster, name: str) -> None:
        """Replace the record."""
        data = gzip.compress(self.model_dump_json().encode(), mtime=0)
        content = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "binaryData": {KEY: base64.b64encode(data).decode()},
        }
        cluster.apply(json.dumps(content))


def record_name(name: str) -> str:
    """Return the name of the ConfigMap of a project."""
    return f"{name}-deployed"


def delete(kubectl: Kubectl, identities: list[str]) -> None:
    """Delete objects and what they own, and wait until they are gone."""
    for identity in identities:
        try:
            kubectl.run("delete", identity, "--ignore-not-found", "--cascade=foreground", "--timeout=100s")
        except KubectlError as error:
            if "doesn't have a resource type" not in error.stderr:
                raise
