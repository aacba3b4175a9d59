"""`make monitor`: what it finds in a log, what it decides, and where it records that."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from titanic_survival import config, monitor
from titanic_survival.__main__ import app
from titanic_survival.command_line import monitoring
from titanic_survival.model import data, quality
from titanic_survival.shared import retraining
from titanic_survival.toolkit.analysis import intervals
from titanic_survival.toolkit.analysis.summary import Summary
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.names import CHAMPION
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.columns import Columns, take
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.retraining import action
from titanic_survival.toolkit.retraining.request import Request, Start
from titanic_survival.toolkit.version.artifact import Artifact
from typer.testing import CliRunner

DRIFT = {"metric": "drift", "above": 0.25}
ACCURACY = {"metric": "accuracy", "below": 0.75}


class Project:
    """A trained project with a log."""

    def __init__(self, settings: config.Settings, version: Artifact, write_log: Any, write_labels: Any) -> None:
        self.log = settings.store.parent / "log"
        self.settings = settings.model_copy(update={"log_folder": self.log})
        self.folder = settings.store.parent / "report"
        self.version, self._write_log, self._write_labels = version, write_log, write_labels
        self.log.mkdir()
        table = data.load()
        self._columns: Columns = dataframes.check_features(table, version.contract).columns
        self._label = table["survived"].to_numpy(bool)

    def rows(self, count: int, **changes: float) -> tuple[Columns, np.ndarray]:
        """Return rows of the data and their labels, with other values in some columns."""
        where = np.random.default_rng(0).integers(len(self._label), size=count)
        columns = take(self._columns, where)
        changed = {name: np.full(count, value, np.float32) for name, value in changes.items()}
        return columns | changed, self._label[where]

    def serve(self, count: int, *, wrong: float = 0, number: int = 1, labels: bool = True, **changes: float) -> Any:
        """Log predictions, and labels of which a share is wrong."""
        columns, label = self.rows(count, **changes)
        logged = self._write_log(self.log, self.version, columns, number, time=datetime.now(UTC), hours=30)
        if labels:
            flip = np.random.default_rng(1).random(count) < wrong
            self._write_labels(self.log, "survived", logged.ids, (label ^ flip).tolist())
        return logged

    def monitor(self, **options: Any) -> monitor.Monitored:
        """Run the command."""
        return monitor.run(self.settings, folder=self.folder, **options)


@pytest.fixture
def served(
    project: config.Settings,
    version: Artifact,
    write_log: Callable[..., Any],
    write_labels: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    monkeypatch.setattr(quality, "RULES", [DRIFT, ACCURACY])
    return Project(project, version, write_log, write_labels)


def test_traffic_like_the_training_s_decides_nothing(served: Project, capsys: pytest.CaptureFixture[str]) -> None:
    served.serve(3000)
    found = served.monitor(as_json=True)
    (version,) = found.summary.versions
    assert (found.summary.decision, version.number, version.rows, version.labels) == ("nothing", 1, 3000, 3000)
    assert not any(result.fired for result in found.summary.rules)
    assert {field.field for field in version.drift if field.part == "feature"} == set(served.version.profile.features)
    assert sum(part.rows for part in version.traffic) == 3000
    accuracy = next(one for one in version.quality if (one.metric, one.group) == ("accuracy", ""))
    assert accuracy.estimate.low < served.version.details["metrics"]["accuracy"] + 0.1
    assert accuracy.estimate.count == 3000
    groups = {one.group for one in version.quality}
    assert groups == {"", "sex/female", "sex/male", *(f"passenger_class/{n}" for n in ("1st", "2nd", "3rd"))}
    over_time = [one for one in version.quality_over_time if (one.metric, one.group) == ("accuracy", "")]
    assert len(over_time) > 5
    # The first and the last part of the window may have fewer rows than an interval needs.
    assert 2960 < sum(one.estimate.count for one in over_time) <= 3000
    assert version.calibration and version.outliers and version.outlier_rows
    assert found.summary.notes == ()
    *_, last = capsys.readouterr().out.strip().splitlines()
    line = json.loads(last)
    assert (line["decision"], line["rules"], line["versions"], line["champion"]) == ("nothing", [], [1], 1)
    assert Summary.model_validate_json((served.folder / "summary.json").read_text()) == found.summary


def test_drifted_input_decides_to_retrain_and_is_recorded(served: Project, capsys: pytest.CaptureFixture[str]) -> None:
    served.serve(1500, age=80)
    found = served.monitor(as_json=True)
    drift, accuracy = found.summary.rules
    assert (found.summary.decision, drift.fired, accuracy.fired) == ("retrain", True, False)
    assert "drift of age" in drift.reason
    out = capsys.readouterr().out
    assert "Decision: retrain, since drift of age" in out
    (fired,) = json.loads(out.strip().splitlines()[-1])["rules"]
    assert (fired["metric"], fired["bound"], fired["version"]) == ("drift", 0.25, 1)
    assert fired["estimate"]["low"] > 0.25
    run = mlflow.MlflowClient(served.settings.mlflow_tracking_uri).get_run(found.run)
    assert (run.data.tags["kind"], run.data.tags["decision"], run.data.tags["version"]) == ("monitor", "retrain", "1")
    assert run.data.metrics["drift/age"] == run.data.metrics["max_drift"] > 0.25
    assert run.data.metrics["rows"] == 1500
    assert run.data.metrics["accuracy/sex/female"] > 0
    files = {file.path for file in mlflow.MlflowClient().list_artifacts(found.run, "monitor")}
    assert files == {"monitor/summary.json", "monitor/report.html"}
    assert found.report == served.folder / "report.html"
    page = found.report.read_text()
    assert "Retrain, because 1 of 2 rules of version 1 fired: drift of age" in page
    assert 'aria-label="age: rows by bin, now and at training' in page


def test_worse_quality_decides_to_retrain(served: Project) -> None:
    served.serve(1000, wrong=0.4)
    found = served.monitor()
    assert [result.fired for result in found.summary.rules] == [False, True]
    assert found.summary.decision == "retrain"


@pytest.mark.parametrize("rows", [10, 150])
def test_nothing_is_retrained_because_of_few_rows(
    served: Project, rows: int, capsys: pytest.CaptureFixture[str]
) -> None:
    served.serve(rows, wrong=1, age=120)
    found = served.monitor()
    assert found.summary.decision == "nothing"
    assert "No drift is computed below 500 rows" in found.summary.versions[0].notes[0]
    out = capsys.readouterr().out
    assert "not evaluated" in out
    assert "Decision: nothing to do; 2 rules could not be evaluated" in out
    assert "accuracy: accuracy" not in out and "drift: drift" not in out


def test_rules_are_of_the_champion_and_all_versions_are_shown(
    served: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    served.serve(600)
    served.serve(600, number=7, age=80)  # of another registry, perhaps
    found = served.monitor()
    assert found.summary.decision == "nothing"
    other, champion = found.summary.versions
    assert (other.number, other.rows, other.drift, champion.rows) == (7, 600, (), 600)
    assert "version 7 is not in" in other.notes[0]
    assert "Note: version 7: Only its traffic is known" in capsys.readouterr().out


def test_champion_without_rows_is_named_with_the_next_step(
    served: Project, versions: Callable[[int], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    served.serve(600)
    versions(2).set_alias(CHAMPION, 2)  # as a training does
    found = served.monitor()
    assert [version.number for version in found.summary.versions] == [1]
    assert [result.evaluated for result in found.summary.rules] == [False, False]
    (note,) = found.summary.notes
    assert note.startswith("Version 2 is the champion, and no prediction of it was logged in these days: ")
    out = capsys.readouterr().out
    for metric in ("drift", "accuracy"):
        assert f"Note: {metric} is not known: version 2 has no rows in 7 days" in out
    assert out.endswith("Next:\n  make deploy  serve version 2, the champion; what it predicts is logged\n")
    store = Store(served.settings.store)
    store.write(Release.now(served.settings.model_name, 2, {2: ("champion",)}))
    served.monitor()
    assert "make status  whether version 2, the champion, is served: it was deployed" in capsys.readouterr().out
    served.serve(600, number=2)
    served.monitor()
    assert "Next:" not in capsys.readouterr().out


def test_quality_is_compared_with_the_hold_out_rows_by_their_number(served: Project) -> None:
    served.serve(3000, wrong=0.3)
    (version,) = served.monitor().summary.versions
    details = served.version.details
    overall, group = (
        next(one for one in version.quality if (one.metric, one.group) == ("accuracy", name))
        for name in ("", "sex/female")
    )
    for one, known, rows in (
        (overall, details["metrics"]["accuracy"], details["data"]["holdout_rows"]),
        (group, details["metrics"]["accuracy/sex/female"], details["groups"]["sex/female"]),
    ):
        assert one.difference == intervals.of_difference(one.estimate, known, rows)
        assert one.difference.high < 0
        assert one.difference.high - one.difference.low > 1.5 * (one.estimate.high - one.estimate.low)


def test_champion_that_cannot_be_had_is_an_error(served: Project) -> None:
    served.serve(600)
    served.settings = served.settings.model_copy(update={"verify_key": served.log / "missing.pub"})
    with pytest.raises(UserError, match=r"missing\.pub"):
        served.monitor()


def test_late_and_repeated_labels_and_damage_are_said(served: Project) -> None:
    logged = served.serve(600)
    served._write_labels(served.log, "survived", [*logged.ids[:5], "0" * 40], [True] * 6)
    served._write_labels(served.log, "survived", logged.ids[5:8], ["perhaps"] * 3)
    (log,) = served.log.glob("predictions-*")
    log.write_text(log.read_text() + "{\n" + '{"version":1,"sha')
    notes = "\n".join(served.monitor().summary.notes)
    assert "1 damaged line" in notes and "is incomplete" in notes
    assert "8 labels were sent again" in notes
    assert "1 label belongs to no prediction" in notes
    assert "3 labels are none that the schema allows" in "\n".join(served.monitor().summary.versions[0].notes)


def test_days_choose_what_the_report_shows_and_rules_have_their_own(
    served: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "RULES", [DRIFT | {"days": 1}, DRIFT | {"days": 20}])
    old, _ = served.rows(2000, age=80)
    ago = datetime.now(UTC) - timedelta(days=10)
    served._write_log(served.log, served.version, old, time=ago)
    served.serve(1000)
    found = served.monitor().summary
    assert [result.fired for result in found.rules] == [False, True]
    assert found.versions[0].rows == 1000
    served.settings = served.settings.model_copy(update={"days": 14})
    assert served.monitor().summary.versions[0].rows == 3000


def test_without_rules_it_reports(served: Project, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.delattr(quality, "RULES")
    served.serve(600, age=80)
    assert served.monitor().summary.rules == ()
    assert "model/quality.py has no RULES" in capsys.readouterr().out


def test_empty_log_is_no_error_and_a_missing_one_is(served: Project, tmp_path: Path) -> None:
    found = served.monitor()
    assert (found.summary.versions, found.summary.decision) == ((), "nothing")
    assert found.summary.rules[0].reason == "drift is not known: version 1 has no rows in 7 days"
    with pytest.raises(UserError, match="there is no such folder"):
        served.monitor(source=str(tmp_path / "missing"))


def test_full_disk_is_said(served: Project) -> None:
    served.folder.mkdir(parents=True, exist_ok=True)
    (served.folder / "summary.json").symlink_to("/dev/full")
    with pytest.raises(UserError, match="No space left on device"):
        served.monitor()


@pytest.fixture
def prometheus() -> Iterator[str]:
    """Return the address of a server that answers as Prometheus does: 100 rows in each interval, all in one bin."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            labels = {"feature": "sex", "bin": "male"} if "feature_bin" in body else {}
            counted = "model_rows_total" in body or labels
            result = [{"metric": {"version": "1", **labels}, "value": [0, "100.02"]}] if counted else []
            content = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://ada:secret@127.0.0.1:{server.server_port}"
        server.shutdown()


def test_counters_of_a_prometheus_are_read_where_no_log_is_left(served: Project, prometheus: str) -> None:
    served.settings = served.settings.model_copy(update={"prometheus_url": prometheus})
    found = served.monitor()
    (version,) = found.summary.versions
    # 28 intervals of six hours, and the one that is not over.
    assert (version.number, version.rows, sum(part.rows for part in version.traffic)) == (1, 2900, 2900)
    sex = next(field for field in version.drift if field.field == "sex")
    assert dict(zip(sex.bins, sex.rows, strict=True)) == {"female": 0, "male": version.rows}
    assert found.summary.decision == "retrain"
    assert "have no quality by group" in found.summary.notes[0]
    assert "secret" not in found.summary.model_dump_json()
    served.serve(600)
    assert served.monitor().summary.source == str(served.log)


def test_exit_code_says_the_decision(served: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "FOLDER", served.folder)
    monkeypatch.setattr(monitor.run, "__kwdefaults__", {"as_json": False, "folder": served.folder})
    monkeypatch.setattr(monitoring, "_settings", lambda: served.settings)
    served.serve(600)
    run = CliRunner().invoke
    assert run(app, ["monitor", "--check"]).exit_code == 0
    served.serve(3000, age=80)
    assert run(app, ["monitor", str(served.log), "--check"]).exit_code == 3


class Counting:
    """A trigger that starts nothing, and keeps what it was asked for."""

    name = "counting"

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def start(self, request: Request, claim: str) -> Start:
        """Keep a request."""
        self.requests.append(request)
        return Start("https://ci.example.com/1")


@pytest.fixture
def trigger(monkeypatch: pytest.MonkeyPatch) -> Counting:
    trigger = Counting()
    monkeypatch.setattr(retraining, "trigger", lambda settings: trigger)
    monkeypatch.setattr(action, "sleep", lambda seconds: None)
    return trigger


def test_decision_to_retrain_starts_one_training(
    served: Project, trigger: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    served.serve(1500, age=80)
    first, again = served.monitor(as_json=True), served.monitor(as_json=True)
    [request] = trigger.requests
    assert (request.version, request.rules, request.run) == (1, ("drift above 0.25 over 7 days",), first.run)
    assert request.reason.startswith("drift of age is ")
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert [line["retraining"]["state"] for line in lines] == ["started", "skipped"]
    assert "Training: A training was started by counting: https://ci.example.com/1." in out
    assert "Training: No training is started: version 1 and the same rules had a training on" in out
    runs = [mlflow.MlflowClient().get_run(found.run).data.tags["retraining"] for found in (first, again)]
    assert runs == [found.retraining.sentence for found in (first, again) if found.retraining]


def test_decision_that_is_another_starts_nothing(
    served: Project, trigger: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "RULES", [DRIFT | {"action": "report"}])
    served.serve(1500, age=80)
    found = served.monitor()
    assert (found.summary.decision, found.retraining, trigger.requests) == ("report", None, [])


def test_without_a_trigger_the_command_is_said(served: Project, capsys: pytest.CaptureFixture[str]) -> None:
    served.serve(1500, age=80)
    assert served.monitor().retraining.state == "reported"
    assert 'RETRAIN_TRIGGER is not set, so nothing is started: make train WHY="drift of age' in capsys.readouterr().out


def test_trigger_that_fails_is_an_error_after_the_report(
    served: Project, trigger: Counting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served.serve(1500, age=80)
    monkeypatch.setattr(Counting, "start", lambda *_: (_ for _ in ()).throw(UserError("no such token: make another.")))
    with pytest.raises(UserError, match="no such token: make another"):
        served.monitor(as_json=True)
    *_, last = capsys.readouterr().out.strip().splitlines()
    assert json.loads(last)["retraining"] == {"state": "failed", "sentence": "no such token: make another."}
