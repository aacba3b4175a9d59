"""A real Prometheus over a live service and a batch job: sums of workers, drift, alerts, each query of the dashboard.

The tests build on one another, in this order.
"""

import csv
import json
import math
import random
import re
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import pytest

from .conftest import Project, call, free_port, needed, running, wait_for

pytestmark = pytest.mark.slow

#: A test cannot wait for hours: what the rules say in minutes, hours and days happens within seconds.
SECONDS = [
    (r"\[(5m|15m|1h)\]", "[10s]"),
    (r"\[(1d|7d)\]", "[60s]"),
    (r"\bfor: \d+m", "for: 1s"),
    (r"\binterval: (1m|15s)", "interval: 1s"),
    (r"_interval: 15s", "_interval: 1s"),
]
ROWS_A_REQUEST = 40


class Service(NamedTuple):
    """A live service with two workers, its registry and store, where it logs, and dataset rows that it takes."""

    url: str
    env: dict[str, str]
    log: Path
    rows: list[dict[str, Any]]
    labels: list[Any]
    contract: dict[str, Any]


@pytest.fixture(scope="module")
def service(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("log")
    rows, labels, contract = trained.python(
        f"""
import json
from {trained.package}.model import data, schema
from {trained.package}.toolkit.training import dataset
from {trained.package}.toolkit.contract.columns import plain
from {trained.package}.toolkit.contract.derivation import derive
contract = derive(schema.Row, schema.Prediction)
rows = dataset.labelled_rows(data.load(), contract)
lists = {{name: [None if value == "" else value for value in plain(array)] for name, array in rows.columns.items()}}
records = [dict(zip(lists, values)) for values in zip(*lists.values())]
print(json.dumps([records, rows.label.tolist(), contract.model_dump()]))
"""
    )
    # A registry of its own, since the last test promotes; the artifacts stay where they are.
    shutil.copy(trained.path / "mlflow.db", folder.with_suffix(".db"))
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder.with_suffix('.db')}", "STORE": str(folder / "store")}
    with trained.serving(WORKERS="2", LOG_FOLDER=str(folder), **env) as (url, _):
        yield Service(url, env, folder, rows, labels, contract)


class Prometheus:
    """A Prometheus with the project's configuration and rules."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series of an expression, as it is now."""
        status, answer = call(f"{self._url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        assert status == 200, (expression, answer)
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]

    def value(self, expression: str) -> float:
        """Return the sum of an expression's series."""
        return sum(value for _, value in self.ask(expression))

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._url


@pytest.fixture(scope="module")
def pushgateway(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a Pushgateway."""
    address = f"127.0.0.1:{free_port()}"
    # Debian's keeps what it is given in a file unless told otherwise.
    command = [needed("prometheus-pushgateway"), f"--web.listen-address={address}", "--persistence.file="]
    with running(command, f"http://{address}/-/ready", tmp_path_factory.mktemp("pushgateway"), project.env):
        yield address


@pytest.fixture(scope="module")
def prometheus(
    service: Service, pushgateway: str, project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    binary, folder, port = needed("prometheus"), tmp_path_factory.mktemp("prometheus"), free_port()
    places = [(r"localhost:3000", service.url.removeprefix("http://")), (r"localhost:9091", pushgateway)]
    # The scrape of a Pushgateway is there as a comment.
    wanted = (r"(?m)^  # (- job_name: batch|  honor_labels.*|  static_configs:|    - targets.*)$", r"  \1")
    for name in ("prometheus.yml", "rules.yml"):
        text = (project.path / "monitoring" / name).read_text()
        for pattern, quick in [wanted, *SECONDS, *places]:
            text = re.sub(pattern, quick, text)
        (folder / name).write_text(text)
    command = [binary, "--config.file", f"{folder}/prometheus.yml", "--storage.tsdb.path", f"{folder}/data"]
    command += ["--web.listen-address", f"127.0.0.1:{port}"]
    url = f"http://127.0.0.1:{port}"
    with running(command, f"{url}/-/ready", folder, project.env):
        yield Prometheus(url)


class Traffic:
    """Sends rows in requests from several callers until the block ends, and labels for some of them."""

    def __init__(self, service: Service, rows: list[dict[str, Any]]) -> None:
        self.answered = self.refused = self.dataset = 0
        self._service, self._rows = service, rows
        self._random, self._ended = random.Random(0), Event()
        self._callers = ThreadPoolExecutor(4)

    def __enter__(self) -> "Traffic":
        self._sending = self._callers.submit(self._send)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._sending.result()
        self._callers.shutdown()

    def _send(self) -> None:
        while not self._ended.wait(0.1):
            picks = [self._random.sample(range(len(self._rows)), ROWS_A_REQUEST) for _ in range(3)]
            for picked, (status, answers) in zip(picks, self._callers.map(self._ask, picks), strict=True):
                assert status == 200, answers
                self.answered += len(answers)
                self._label(picked[:4], answers[:4])
            if self.answered % (10 * ROWS_A_REQUEST) == 0:
                assert call(f"{self._service.url}/predict", [{"no such field": 1}])[0] == 400
                self.refused += 1

    def _ask(self, picked: list[int]) -> tuple[int, Any]:
        return call(f"{self._service.url}/predict", [self._rows[i] for i in picked])

    def _label(self, picked: list[int], answers: list[Any]) -> None:
        name = self._service.contract["prediction"][0]["name"]
        labels = [
            {"id": answer["id"], name: self._service.labels[i]} for i, answer in zip(picked, answers, strict=True)
        ]
        status, said = call(f"{self._service.url}/feedback", labels)
        assert status == 202, said
        self.dataset += len(labels)


def test_rows_like_the_training_rows_are_counted_and_raise_no_alert(service: Service, prometheus: Prometheus) -> None:
    wait_for(lambda: prometheus.value("up") == 2)
    with Traffic(service, service.rows) as traffic:
        wait_for(lambda: prometheus.value('version:rows:increase{window="1d"}') > 3000, 60)
        assert call(f"{service.url}/explain", service.rows[:1])[0] == 200
    workers = {path.name.split("-")[2] for path in service.log.glob("predictions-*.jsonl")}
    assert len(workers) == 2, "both have answered"

    wait_for(lambda: prometheus.value("model_rows_total") == traffic.answered, 5)
    for kind, part in (("feature", "row"), ("output", "prediction")):
        counted = prometheus.ask(f"sum by ({kind}) (model_{kind}_bin_rows_total)")
        expected = {column["name"]: traffic.answered for column in service.contract[part]}
        assert {labels[kind]: value for labels, value in counted} == expected
        shares = prometheus.ask(f"sum by ({kind}) (model_{kind}_reference_share)")
        assert [value for _, value in shares] == pytest.approx([1] * len(expected))
    assert prometheus.value("model_feedback_rows_total") == traffic.dataset
    assert prometheus.value('model_refused_requests_total{code="400", reason="contract"}') == traffic.refused
    assert prometheus.value("model_requests_total") * ROWS_A_REQUEST > traffic.answered

    drift = {
        labels.get("feature") or labels["output"]: value
        for labels, value in prometheus.ask('{__name__=~"(feature|output):drift:psi", window="1d"}')
    }
    assert len(drift) == len(service.contract["row"] + service.contract["prediction"])
    assert max(drift.values()) < 0.1, drift
    ((_, outliers),) = prometheus.ask('version:outliers:share{window="1d"}')
    assert outliers < 0.03
    ((_, accuracy),) = prometheus.ask('version:feedback:quality{window="1d", metric="accuracy"}')
    assert 0.8 < accuracy < 0.95
    # At any time since; whether the service is up and fast is another matter.
    assert prometheus.ask('max_over_time(ALERTS{alertname!~"ServiceDown|InstanceDown|RequestsSlow"}[1h])') == []


def test_shifted_rows_make_the_alert_fire(service: Service, prometheus: Prometheus) -> None:
    shifted = [
        {column["name"]: shift(row[column["name"]], column) for column in service.contract["row"]}
        for row in service.rows
    ]
    with Traffic(service, shifted):
        wait_for(lambda: bool(prometheus.ask('ALERTS{alertname="FeatureDrift", alertstate="firing"}')), 40)
        wait_for(lambda: bool(prometheus.ask('ALERTS{alertname="ManyOutliers", alertstate="firing"}')), 20)
    status, found = call(f"{prometheus._url}/api/v1/alerts")
    assert status == 200
    firing = [alert for alert in found["data"]["alerts"] if alert["labels"]["alertname"] == "FeatureDrift"]
    features = {alert["labels"]["feature"] for alert in firing}
    assert features <= {column["name"] for column in service.contract["row"]}
    for alert in firing:
        notes = alert["annotations"]
        assert alert["labels"]["feature"] in notes["summary"]
        assert re.search(r"index of \d+\.\d\d;", notes["description"])
        assert "make train" in notes["runbook"]


def logged(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [json.loads(line) for path in folder.glob(f"{kind}-*.jsonl") for line in path.open()]


def shift(value: Any, column: dict[str, Any]) -> Any:
    """Return a value that the contract allows, three times as large, or the first of its words."""
    if column["kind"] == "category":
        return column["categories"][0]
    return None if value is None else min(3 * value, column["at_most"] or math.inf)


def logged_rows(service: Service) -> int:
    return sum(len(block["id"]) for block in logged(service.log, "predictions"))


def test_make_monitor_finds_the_drift_in_the_log_and_decides(
    service: Service, prometheus: Prometheus, trained: Project
) -> None:
    # Rows are counted when they are answered, and logged a moment later.
    wait_for(lambda: logged_rows(service) == prometheus.value("model_rows_total"))
    rows, ids = logged_rows(service), {line["id"] for line in logged(service.log, "feedback")}
    said = trained.make("monitor", f"INPUT={service.log}", "ARGS=--json")
    decision = json.loads(said.strip().splitlines()[-1])
    assert (decision["rows"], decision["labels"], decision["versions"]) == (rows, len(ids), [1])
    assert decision["decision"] == "retrain"
    (drift,) = [rule for rule in decision["rules"] if rule["metric"] == "drift"]
    assert drift["estimate"]["low"] > 0.25
    monitor = [str(trained.path / ".venv/bin/python"), "-m", trained.package, "monitor", "--check"]
    result = subprocess.run([*monitor, str(service.log)], cwd=trained.path, env=trained.env, capture_output=True)
    assert result.returncode == 3, result.stderr


def test_make_monitor_finds_the_drift_in_prometheus_where_no_log_is_left(
    service: Service, prometheus: Prometheus, trained: Project, tmp_path: Path
) -> None:
    said = trained.make("monitor", "ARGS=--json", PROMETHEUS_URL=prometheus._url, LOG_FOLDER=str(tmp_path))
    decision = json.loads(said.strip().splitlines()[-1])
    # The counts from before the first scrape are missing.
    assert 0.5 < decision["rows"] / logged_rows(service) < 1.1
    assert decision["labels"] > 0
    assert decision["decision"] == "retrain"


def test_drift_of_a_batch_job_makes_the_alert_fire(
    service: Service, prometheus: Prometheus, trained: Project, pushgateway: str, tmp_path: Path
) -> None:
    shifted = [
        {column["name"]: shift(row[column["name"]], column) for column in service.contract["row"]}
        for row in service.rows
    ]
    names = [column["name"] for column in service.contract["row"]]
    with (tmp_path / "in.csv").open("w") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows([{name: row[name] for name in names} for row in shifted])
    places = f"INPUT={tmp_path}/in.csv", f"OUTPUT={tmp_path}/out.csv"
    trained.make("predict", *places, PUSHGATEWAY=pushgateway, METRICS_JOB="model")
    wait_for(lambda: prometheus.value('model_batch_rows{job="model"}') == len(shifted))
    alert = 'ALERTS{alertname="FeatureDrift", alertstate="firing", window="batch", job="model", version="1"}'
    wait_for(lambda: bool(prometheus.ask(alert)))
    drift = {labels["feature"]: value for labels, value in prometheus.ask('feature:drift:psi{window="batch"}')}
    recorded = trained.python(
        f"""
import json, mlflow
from {trained.package} import config
mlflow.set_tracking_uri(config.settings().mlflow_tracking_uri)
(run, *_) = mlflow.search_runs(search_all_experiments=True, filter_string="tags.kind = 'predict'", output_format="list")
print(json.dumps(run.data.metrics))
"""
    )
    assert drift == pytest.approx({name: recorded[f"drift/{name}"] for name in drift})
    assert len(drift) == len(names)


def test_every_query_of_the_dashboard_has_data(service: Service, prometheus: Prometheus, project: Project) -> None:
    dashboard = json.loads((project.path / "monitoring/dashboard.json").read_text())
    feature, output = (service.contract[part][0]["name"] for part in ("row", "prediction"))
    ((labels, _),) = prometheus.ask("count by (job, version) (model_rows_total)")
    chosen = labels | {"window": "1h", "labels": "1d", "feature": feature, "output": output}
    chosen |= {"__rate_interval": "1m", "__range": "1m"}
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    queries = [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]
    queries += [(annotation["name"], annotation["expr"]) for annotation in dashboard["annotations"]["list"]]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            queries.append((variable["name"], f"count by ({label}) ({metric})"))
    queries = [(title, query) for title, query in queries if "stream" not in query]  # no stream runs here
    assert len(queries) > 30
    queries = [(title, re.sub(r"\$(\w+)", lambda match: chosen[match[1]], query)) for title, query in queries]

    def without_data() -> list[tuple[str, str]]:
        return [
            (title, query)
            for title, query in queries
            if not any(math.isfinite(value) for _, value in prometheus.ask(query))
        ]

    # Rows of the last seconds are needed, and the tests before may have taken longer.
    with Traffic(service, service.rows):
        with suppress(AssertionError):  # the one below says what is missing
            wait_for(lambda: without_data() == [], 40)
        assert without_data() == []


def test_new_champion_that_predicts_worse_is_taken_back(
    service: Service, prometheus: Prometheus, trained: Project
) -> None:
    trained.python(
        f"""
import json, mlflow
from {trained.package} import config, promote
settings = config.settings()
mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
client = mlflow.MlflowClient()
first = client.get_model_version(settings.model_name, "1")
client.create_model_version(settings.model_name, first.source, tags=first.tags)
promote.run(settings, "2", "the same files, but what happens is another matter")
print(json.dumps("done"))
""",
        **service.env,
    )
    name = service.contract["prediction"][0]["name"]

    def answered_by_the_first_again() -> bool:
        status, answers = call(f"{service.url}/predict", service.rows[:10])
        assert status == 200, answers
        wrong = [next(label for label in service.labels if label != answer[name]) for answer in answers]
        labels = [{"id": answer["id"], name: label} for answer, label in zip(answers, wrong, strict=True)]
        if answers[0]["version"] == 2:
            assert call(f"{service.url}/feedback", labels)[0] == 202
        # Before the promotion nothing is warm, and after it the first version is.
        return answers[0]["version"] == 1 and call(f"{service.url}/model")[1]["warm"] == [2]

    command = [str(trained.path / ".venv/bin/python"), "-m", trained.package, "sync"]
    env = trained.env | service.env | {"PROMETHEUS_URL": prometheus.url, "SYNC_SECONDS": "0.5"}
    with running(command, f"{service.url}/readyz", trained.path, env):
        wait_for(answered_by_the_first_again, 90)
    event = trained.python(
        f"""
import json
from {trained.package} import config
from {trained.package}.toolkit.registry import client, history
settings = config.settings()
print(json.dumps(history.events(client.connect(settings.mlflow_tracking_uri, settings.model_name))[-1]._asdict()))
""",
        **service.env,
    )
    assert (event["who"], event["action"], event["source"], event["target"]) == (
        "automatic rollback",
        "rolled back",
        2,
        1,
    )
    assert re.match(
        r"alert (AccuracyFell|RequestsSlow) since .*: .*\bversion 2\b.*\(value .+\)$", event["why"], re.IGNORECASE
    )
