"""The dashboard, as Grafana's own models read it."""

import json
from typing import Any

import pytest
from conftest import PROJECT, ROOT
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

FILE = ROOT / PROJECT / "monitoring" / "dashboard.json"


def read(content: dict[str, Any]) -> dict[str, Any]:
    """Return a dashboard as Grafana's models have it: what they do not know is gone."""
    plugins.register_default_plugins()
    return json.loads(json.dumps(Dashboard.from_json(content), cls=JSONEncoder))


def lost(given: Any, found: Any, path: str = "") -> list[str]:
    """Return the paths of what was given and is not found."""
    if isinstance(given, dict) and isinstance(found, dict):
        return [line for key, value in given.items() for line in lost(value, found.get(key), f"{path}/{key}")]
    if isinstance(given, list) and isinstance(found, list) and len(given) == len(found):
        pairs = enumerate(zip(given, found, strict=True))
        return [line for i, (one, other) in pairs for line in lost(one, other, f"{path}/{i}")]
    return [] if given == found else [path]


def test_grafana_knows_every_field_of_the_dashboard() -> None:
    content = json.loads(FILE.read_text())
    assert lost(content, read(content)) == []


@pytest.mark.parametrize(
    "where", [("panels", 1, "options"), ("panels", 1, "targets", 0), ("panels", 8, "fieldConfig", "defaults", "custom")]
)
def test_a_field_that_grafana_does_not_know_is_found(where: tuple[Any, ...]) -> None:
    content = json.loads(FILE.read_text())
    part = content
    for key in where:
        part = part[key]
    part["drawStlye"] = "line"
    assert lost(content, read(content)) == ["/" + "/".join(map(str, (*where, "drawStlye")))]
