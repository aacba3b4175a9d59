"""Rules and dashboard are about what service and batch jobs export. The project's own tests run the rules' examples."""

import json
import re
from collections.abc import Iterator
from itertools import product

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families
from titanic_survival import config
from titanic_survival.toolkit.monitoring import metrics, stream_metrics
from titanic_survival.toolkit.monitoring.batch_metrics import BatchMetrics, JobReport
from titanic_survival.toolkit.monitoring.bin_counts import BinCounts
from titanic_survival.toolkit.version.outliers import OutlierDetector
from titanic_survival.toolkit.version.reference_profile import Profile

FOLDER = config.ROOT / "monitoring"
RULES = [rule for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
#: Those that Prometheus makes itself.
PROMETHEUS = {"up", "ALERTS"}


def expressions() -> Iterator[str]:
    """Yield every expression of the dashboard."""
    variables = DASHBOARD["templating"]["list"]
    yield from (target["expr"] for panel in PANELS for target in panel["targets"])
    yield from (annotation["expr"] for annotation in DASHBOARD["annotations"]["list"])
    yield from (variable["query"]["query"] for variable in variables if variable["type"] == "query")


def names(expression: str) -> set[str]:
    """Return the names of the metrics in an expression: the service's own, recorded ones, and Prometheus'."""
    return set(re.findall(r"\b(?:model_[a-z_]+|[a-z]+:[a-z_]+:[a-z0-9_]+|up|ALERTS)\b", expression))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names of what the service exports, and of what batch jobs leave behind."""
    declared = (*vars(metrics).values(), *vars(stream_metrics).values())
    found = [metric for metric in declared if isinstance(metric, MetricWrapperBase)]
    ends = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
    file = tmp_path_factory.mktemp("metrics") / "batch.prom"
    detector = OutlierDetector(features={}, threshold=1, rate=0.01)
    profile = Profile(features={}, outputs={}, outliers=detector, quality={})
    BatchMetrics("j", file=str(file)).publish(JobReport(1, profile, 0, 0, 0, 0, BinCounts()))
    batch = {family.name for family in text_string_to_metric_families(file.read_text())}
    assert len(batch) > 8
    return batch | {metric._name + end for metric in found for end in ends[metric._type]}


def test_rules_are_about_what_is_exported_and_what_was_recorded_before(exported: set[str]) -> None:
    known = exported | PROMETHEUS
    for rule in RULES:
        assert names(rule["expr"]) <= known, rule
        assert names(rule["expr"]), rule
        known |= {rule["record"]} if "record" in rule else set()


def test_dashboard_is_about_what_is_exported_and_what_is_recorded(exported: set[str]) -> None:
    known = exported | PROMETHEUS | {rule["record"] for rule in RULES if "record" in rule}
    for expression in expressions():
        assert names(expression) <= known, expression
        assert names(expression), expression


def test_whatever_is_exported_is_looked_at(exported: set[str]) -> None:
    looked_at = set().union(*(names(rule["expr"]) for rule in RULES), *map(names, expressions()))
    unseen = exported - looked_at - {"model_request_seconds_sum", "model_request_seconds_count"}
    assert unseen == set()


def test_every_alert_has_a_runbook_with_meaning_place_and_cure() -> None:
    alerts = [rule for rule in RULES if "alert" in rule]
    assert len(alerts) > 10
    for alert in alerts:
        assert alert["labels"]["severity"] in ("critical", "warning"), alert["alert"]
        notes = alert["annotations"]
        assert notes["summary"], alert["alert"]
        assert notes["description"], alert["alert"]
        assert re.fullmatch(r"Meaning: \S[^§]+\nLook: \S[^§]+\nDo: \S[^§]+\n", notes["runbook"]), alert["alert"]


def test_commands_of_the_runbooks_are_those_of_the_makefile() -> None:
    words = set(re.findall(r"^([a-z]+):", (config.ROOT / "Makefile").read_text(), re.MULTILINE))
    said = re.findall(r"`make ([a-z]+)", " ".join(rule["annotations"]["runbook"] for rule in RULES if "alert" in rule))
    assert said
    assert set(said) <= words


def test_every_panel_has_its_place_and_says_what_it_shows() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        x, y, width, height = (panel["gridPos"][name] for name in "xywh")
        cells = set(product(range(x, x + width), range(y, y + height)))
        assert not cells & taken, panel["title"]
        assert x + width <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["description"] for panel in PANELS)


def test_variables_of_the_dashboard_are_defined() -> None:
    defined = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__rate_interval", "__range"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used <= defined
    assert defined <= used


def test_every_alert_has_an_example() -> None:
    examples = (FOLDER / "rules.test.yml").read_text()
    assert [rule["alert"] for rule in RULES if "alert" in rule and f'"{rule["alert"]}"' not in examples] == []
