"""Every target of a generated project's Makefile, by its effect.

The tests build on one another, in this order.
"""

import csv
import json
import re
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Project, call, free_port, running, targets, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(generated: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a project of their own, since these tests train, promote and deploy."""
    copy = generated.copy(tmp_path_factory.mktemp("targets") / "titanic-survival")
    yield copy
    copy.make("undeploy")


@pytest.fixture(scope="module")
def trained(project: Project) -> Project:
    """Return the project with a first version, which is champion."""
    project.make("train")
    return project


def test_setup_installs_exactly_what_is_locked(project: Project) -> None:
    wrong = project.python(
        """
import json
from importlib.metadata import version
from packaging.requirements import Requirement
lines = [line.rstrip("\\\\\\n ") for line in open("requirements/dev.lock") if "==" in line and line[0] not in "# "]
locked = [Requirement(line) for line in lines]
here = [pin for pin in locked if pin.marker is None or pin.marker.evaluate()]
assert len(here) > 100
print(json.dumps([str(pin) for pin in here if version(pin.name) not in pin.specifier]))
"""
    )
    assert wrong == []
    compiled = list((project.path / ".venv").glob("lib/python3*/site-packages/mlflow/__pycache__/__init__*.pyc"))
    assert compiled, "bytecode was not compiled"


def test_help_explains_every_target(project: Project) -> None:
    shown = re.sub(r"\x1b\[\d*m", "", project.make("help"))
    for target in targets(project):
        assert re.search(rf"^  {target} +\S", shown, re.MULTILINE), target


def test_lint_passes(project: Project) -> None:
    assert "Success: no issues found" in project.make("lint")


def test_tests_of_the_project_pass(project: Project) -> None:
    assert " passed" in project.make("test")


def test_train_registers_a_champion_with_all_its_records(trained: Project) -> None:
    registry = trained.registry()
    assert registry["aliases"] == {"challenger": 1, "champion": 1}
    first = registry["versions"]["1"]
    assert first["gates"] == "passed"
    assert first["text"].startswith("# Titanic survival")
    assert registry["history"][0]["target"] == 1
    run = trained.python(
        f"""
import json, mlflow
from titanic_survival import config
mlflow.set_tracking_uri(config.settings().mlflow_tracking_uri)
client = mlflow.MlflowClient()
run = client.get_run({first["run"]!r})
files = [f.path for folder in ("plots", "version") for f in client.list_artifacts(run.info.run_id, folder)]
model = mlflow.models.get_model_info(f"models:/{{config.settings().model_name}}/1")
print(json.dumps({{
    "files": files, "metrics": run.data.metrics, "parameters": run.data.params, "tags": run.data.tags,
    "datasets": [d.dataset.digest for d in run.inputs.dataset_inputs],
    "inputs": model.signature.inputs.input_names(), "example": model.saved_input_example_info is not None,
}}))
"""
    )
    assert {"plots/roc.png", "plots/precision_recall.png", "plots/calibration.png"} <= set(run["files"])
    assert {"plots/confusion.png", "plots/importance.png"} <= set(run["files"])
    assert {"version/card.md", "version/requirements.lock", "version/contract.json"} <= set(run["files"])
    assert run["metrics"]["roc_auc"] > 0.8
    assert "accuracy/sex/female" in run["metrics"]
    assert run["parameters"]["histgradientboostingclassifier__random_state"] == "0"
    assert run["datasets"] == [run["tags"]["data_digest"]]
    assert run["inputs"][0] == "sex"
    assert run["example"]


def test_training_again_gives_identical_metrics_and_predictions(trained: Project) -> None:
    said = trained.make("train")
    assert "compared with the champion, version 1" in said
    versions = trained.registry()["versions"]
    found = [
        trained.python(
            f"""
import json, mlflow
from titanic_survival import config
mlflow.set_tracking_uri(config.settings().mlflow_tracking_uri)
folder = mlflow.artifacts.download_artifacts(run_id={versions[number]["run"]!r}, artifact_path="version")
details = json.load(open(folder + "/details.json"))
print(json.dumps([details["metrics"], details["importance"], json.load(open(folder + "/example.json"))]))
"""
        )
        for number in ("1", "2")
    ]
    assert found[0] == found[1]


def test_rollback_and_promote_move_the_champion_and_are_recorded(trained: Project) -> None:
    trained.make("rollback", "WHY=as a test")
    assert trained.registry()["aliases"]["champion"] == 1
    assert "there is no earlier one" in trained.make("rollback", ok=False)
    trained.make("promote", "VERSION=2", "WHY=again")
    registry = trained.registry()
    assert registry["aliases"]["champion"] == 2
    moves = [(event["action"], event["source"], event["target"]) for event in registry["history"]]
    assert moves == [("promoted", None, 1), ("promoted", 1, 2), ("rolled back", 2, 1), ("promoted", 1, 2)]
    assert registry["history"][2]["why"] == "as a test"
    assert all(event["who"] and event["when"] for event in registry["history"])
    shown = trained.make("history")
    assert "as a test" in shown
    assert re.search(r"^2 +challenger, champion", shown, re.MULTILINE)


def test_plan_deploy_and_status_show_the_served_version(trained: Project) -> None:
    assert re.search(r"champion +- +2", trained.make("plan"))
    assert "Nothing is deployed" in trained.make("status")
    said = trained.make("deploy")
    assert f"answers at {trained.url}" in said
    assert "Nothing to do" in trained.make("plan")
    status = trained.make("status")
    assert re.search(r"health +ready", status)
    assert re.search(r"registry +in sync", status)
    line = next(line for line in said.splitlines() if line.startswith("curl "))
    pasted = json.loads(subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout)
    assert pasted[0]["version"] == 2
    assert 0 < pasted[0]["probability"] < 1


def test_doctor_finds_nothing_broken(trained: Project) -> None:
    said = trained.make("doctor")
    assert "✗" not in said
    assert "in sync with the registry" in said
    for ways in ("batch = service = stream", "mlflow.pyfunc"):
        assert f"version 2: training = {ways} on 5 rows, bit for bit" in said


def test_the_service_answers_on_every_route(trained: Project) -> None:
    status, answers = call(f"{trained.url}/predict", trained.rows())
    assert status == 200
    assert [set(answer) for answer in answers] == [{"survived", "probability", "id", "version"}] * 3
    assert call(f"{trained.url}/versions/champion/predict", trained.rows())[0] == 200
    assert call(f"{trained.url}/model")[1]["champion"] == 2
    assert "swagger-ui" in call(f"{trained.url}/")[1]
    assert call(f"{trained.url}/static_content/swagger-ui-bundle.js")[0] == 200
    assert "/predict" in call(f"{trained.url}/docs.json")[1]["paths"]
    assert call(f"{trained.url}/livez")[0] == call(f"{trained.url}/readyz")[0] == 200
    assert re.search(r'model_rows_total{version="2"} [1-9]', call(f"{trained.url}/metrics")[1])
    wrong = [{"sex": "female", "passenger_class": "1st"}, {"sex": "other", "age": -1}]
    status, answer = call(f"{trained.url}/predict", wrong)
    assert status == 400
    assert {(p["row"], p["field"]) for p in answer["problems"]} == {(1, "sex"), (1, "age"), (1, "passenger_class")}


class RequestLoop:
    """Requests one prediction after another in a thread, and keeps the responses."""

    def __init__(self, project: Project) -> None:
        self.seen: list[Any] = []
        self.failed: list[Any] = []
        self._url, self._rows, self._stop = f"{project.url}/predict", project.rows(1), threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "RequestLoop":
        self._thread.start()
        wait_for(lambda: bool(self.seen))
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def version(self) -> int:
        """The version that answered last."""
        return int(self.seen[-1][0]["version"])

    def _ask(self) -> None:
        while not self._stop.wait(0.005):
            try:
                status, answer = call(self._url, self._rows)
                (self.seen if status == 200 else self.failed).append(answer)
            except OSError as error:
                self.failed.append(error)


def test_a_new_deployment_replaces_the_old_one_without_a_failed_request(trained: Project) -> None:
    trained.make("promote", "VERSION=1")
    with RequestLoop(trained) as loop:
        assert loop.version == 2
        trained.make("deploy")
        wait_for(lambda: loop.version == 1)
    assert loop.failed == []


def test_sync_updates_a_running_service_without_a_failed_request(trained: Project) -> None:
    trained.calls("sync")
    # The previous champion is removed at once.
    env = trained.env | {"SYNC_SECONDS": "1", "GRACE_SECONDS": "0", "ROLLBACK_SECONDS": "0"}
    command = ["make", "sync"]
    with running(command, f"{trained.url}/readyz", trained.path, env), RequestLoop(trained) as loop:
        assert loop.version == 1
        trained.make("promote", "VERSION=2")
        wait_for(lambda: loop.version == 2, 10)
        wait_for(lambda: not (trained.path / "store/versions/1").exists(), 10)

        # A version that is not what was registered does not get into the store, and what is there serves on.
        trained.python(SPOIL)
        trained.make("promote", "VERSION=1")
        time.sleep(4)
        assert loop.version == 2
        trained.python(SPOIL.replace("0" * 64, trained.registry()["versions"]["1"]["true-digest"]))
        wait_for(lambda: loop.version == 1, 15)
    assert loop.failed == []
    assert re.search(r"registry +in sync", trained.make("status"))


def test_deploy_with_canary_raises_the_challenger_to_champion_in_steps(trained: Project) -> None:
    steps = {"CANARY": "1", "CANARY_STEPS": "50,100", "CANARY_REQUESTS": "100", "SYNC_SECONDS": "0.5"}
    with RequestLoop(trained) as loop, RequestLoop(trained) as other:
        said = trained.make("deploy", **steps)
        wait_for(lambda: loop.version == 2)
    assert loop.failed == other.failed == []
    assert re.search(
        r"Canary of version 2 beside version 1 at http://127.0.0.1:\d+, by http://127.0.0.1:\d+/metrics", said
    )
    assert re.search(r"50 % .* go on: not worse: errors, slow requests, rejected requests", said)
    assert "Version 2 is champion now, instead of version 1 (promoted by" in said
    assert trained.registry()["aliases"]["champion"] == 2
    assert "No canary of titanic-survival is in progress" in trained.make("canary", "ARGS=--abort", ok=False)
    trained.make("promote", "VERSION=1")
    assert "No canary" not in trained.make("deploy")


#: Makes the registry say another digest of version 1 than it has, and keeps the true one.
SPOIL = f"""
import mlflow
from titanic_survival import config
settings = config.settings()
mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
client = mlflow.MlflowClient()
true = client.get_model_version(settings.model_name, "1").tags
client.set_model_version_tag(settings.model_name, "1", "true-digest", true.get("true-digest") or true["digest"])
client.set_model_version_tag(settings.model_name, "1", "digest", "{"0" * 64}")
print("null")
"""


def test_failed_start_keeps_the_running_service(trained: Project) -> None:
    trained.make("promote", "VERSION=2")
    service = trained.path / "titanic_survival/service.py"
    code = service.read_text()
    service.write_text(code + "\nraise RuntimeError('broken on purpose')\n")
    try:
        said = trained.run("make", "deploy", ok=False)
    except AssertionError as error:  # the end of the service's log contains its traceback
        said = str(error)
    finally:
        service.write_text(code)
    assert "broken on purpose" in said
    wait_for(lambda: call(f"{trained.url}/predict", trained.rows(1))[1][0]["version"] == 1, 5)
    assert json.loads((trained.path / "store/release.json").read_text())["champion"] == 1
    status = trained.make("status")
    assert "the registry has version 2" in status
    assert re.search(r"The rollout of version 2 failed at 20.*did not start", status)


def test_predict_scores_files(trained: Project, tmp_path: Path) -> None:
    output = tmp_path / "scored.csv"
    trained.make("predict", "INPUT=data/titanic.csv", f"OUTPUT={output}")
    with output.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1309
    assert rows[0]["name"] == "Allen, Miss. Elisabeth Walton"
    assert {row["version"] for row in rows} == {"2"}
    right = sum((row["survived"] == "true") == (row["survived_given"] == "1") for row in rows)
    assert right / len(rows) > 0.75

    broken = tmp_path / "broken.csv"
    broken.write_text("sex,passenger_class,age\nfemale,1st,30\nmale,9th,-4\nmale,3rd,\n")
    said = trained.make("predict", f"INPUT={broken}", f"OUTPUT={tmp_path}/scored.parquet", "VERSION=1")
    assert "2 of 3 rows" in said
    with (tmp_path / "scored.rejects.csv").open() as file:
        (reject,) = csv.DictReader(file)
    assert (reject["row"], reject["age"]) == ("1", "-4")
    assert set(reject["column"].split("; ")) == {"passenger_class", "age"}
    assert "expected one of '1st'" in reject["reason"]
    assert "expected a number, at least 0" in reject["reason"]
    again = trained.make("predict", f"INPUT={tmp_path}/scored.parquet", f"OUTPUT={tmp_path}/again.csv")
    assert "2 of 2 rows" in again
    assert "there is no such file" in trained.make("predict", "INPUT=nothing.csv", f"OUTPUT={output}", ok=False)


def test_backfill_scores_dates(trained: Project, tmp_path: Path) -> None:
    for date in ("2026-01-30", "2026-01-31"):
        (tmp_path / "rows" / date).mkdir(parents=True)
        (tmp_path / "rows" / date / "rows.csv").write_text("sex,passenger_class,age\nfemale,1st,30\nmale,3rd,\n")
    places = f"INPUT={tmp_path}/rows", f"OUTPUT={tmp_path}/scores"
    said = trained.make("backfill", *places, "FROM=2026-01-30", "TO=2026-02-01")
    assert "no folder for 1 of 3 dates: 2026-02-01" in said
    assert "2 dates, 4 rows" in said
    again = trained.make("backfill", *places, "FROM=2026-01-31", "TO=2026-01-31", "VERSION=1", "FORCE=1")
    assert "1 dates, 2 rows" in again
    versions = [
        json.loads((tmp_path / "scores" / f"2026-01-{day}/_SUCCESS").read_text())["version"] for day in (30, 31)
    ]
    assert versions == [2, 1]


def test_batch_and_service_give_the_same_predictions(trained: Project, tmp_path: Path) -> None:
    rows = trained.rows(5)
    source, output = tmp_path / "rows.csv", tmp_path / "out.csv"
    with source.open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    trained.make("predict", f"INPUT={source}", f"OUTPUT={output}", "VERSION=1")
    with output.open() as file:
        batch = [float(row["probability"]) for row in csv.DictReader(file)]
    served = call(f"{trained.url}/versions/1/predict", rows)[1]
    assert batch == [answer["probability"] for answer in served]


def test_build_makes_a_bento_that_serves_elsewhere(trained: Project, tmp_path: Path) -> None:
    said = trained.make("build")
    tag = re.search(r"bentoml serve (titanic-survival:\w+)", said)
    assert tag
    port = free_port()
    command = [str(trained.path / ".venv/bin/bentoml"), "serve", tag[1], "--port", str(port)]
    env = trained.env | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}  # the service needs no registry
    env.pop("PORT")
    with running(command, f"http://127.0.0.1:{port}/readyz", tmp_path, env):
        status, answers = call(f"http://127.0.0.1:{port}/predict", trained.rows(2))
        assert (status, [answer["version"] for answer in answers]) == (200, [2, 2])
        assert "/predict" in call(f"http://127.0.0.1:{port}/docs.json")[1]["paths"]


def test_serve_runs_in_the_foreground_until_a_signal(trained: Project) -> None:
    for workers in ("1", "2"):
        with trained.serving(WORKERS=workers) as (url, process):
            for _ in range(6):
                assert call(f"{url}/predict", trained.rows(2))[0] == 200
            # Rows of all workers add up.
            wait_for(lambda: 'model_rows_total{version="2"} 12.0' in call(f"{url}/metrics")[1], 5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    # The same, by its Makefile target: a port that is taken is said in a sentence.
    assert f"PORT={trained.port + 1}" in trained.make("serve", ok=False)


def test_mlflow_shows_the_projects_runs(trained: Project) -> None:
    port = free_port()
    trained.calls("mlflow")
    command = ["make", "mlflow", f"ARGS=--port {port}"]
    with running(command, f"http://127.0.0.1:{port}/health", trained.path, trained.env):
        url = f"http://127.0.0.1:{port}/api/2.0/mlflow/registered-models/get?name=titanic-survival"
        assert call(url)[1]["registered_model"]["name"] == "titanic-survival"
        said = trained.make("mlflow", f"ARGS=--port {port}", ok=False)
        assert f"Port {port} is in use" in said


def test_mlflow_loads_and_serves_a_version_with_the_same_predictions(trained: Project, tmp_path: Path) -> None:
    rows = trained.rows(5)
    expected = [answer["probability"] for answer in call(f"{trained.url}/predict", rows)[1]]
    # Outside the project: nothing but what the model carries.
    code = f"""
import json, mlflow, pandas as pd
mlflow.set_tracking_uri("sqlite:///{trained.path}/mlflow.db")
model = mlflow.pyfunc.load_model("models:/titanic-survival/1")
print(json.dumps([float(str(p)) for p in model.predict(pd.DataFrame({rows!r}))["probability"]]))
"""
    python = str(trained.path / ".venv/bin/python")
    command = [python, "-W", "ignore", "-I", "-c", code]
    loaded = subprocess.run(command, cwd=tmp_path, env=trained.env, capture_output=True, text=True, timeout=100)
    assert json.loads(loaded.stdout.splitlines()[-1]) == expected, loaded.stderr

    port = free_port()
    env = trained.env | {"MLFLOW_TRACKING_URI": f"sqlite:///{trained.path}/mlflow.db"}
    env["PATH"] = f"{trained.path}/.venv/bin:{env['PATH']}"
    command = [python, "-m", "mlflow", "models", "serve", "-m", "models:/titanic-survival/1"]
    command += ["--env-manager", "local", "--port", str(port), "--workers", "1"]
    with running(command, f"http://127.0.0.1:{port}/ping", tmp_path, env):
        answer = call(f"http://127.0.0.1:{port}/invocations", {"dataframe_records": rows})[1]
    assert [prediction["probability"] for prediction in answer["predictions"]] == pytest.approx(expected, abs=1e-7)


def test_undeploy_stops_the_service_and_keeps_the_versions(trained: Project) -> None:
    trained.make("undeploy")
    with pytest.raises(OSError):
        call(f"{trained.url}/livez")
    assert "Nothing is deployed" in trained.make("undeploy")
    assert (trained.path / "store/versions/1/model.pkl").exists()


def test_history_shows_what_ran_where_and_until_when(trained: Project) -> None:
    shown = trained.make("history")
    times = r"20[\d-]+ [\d:]+ UTC"
    found = re.findall(rf"{times}  to {times}: version (\d)\b.* on local \S+:{trained.port} \(deployed by \S+\)", shown)
    assert found == ["2", "1", "2", "1"]  # the second 2 by its canary
    assert re.search("versions 1 = champion, 2 = challenger; traffic: 50 % to 1, 50 % to 2 on local", shown)
    assert "The rollout of version 2 failed (local" in shown
    entries = [json.loads(line) for line in trained.make("history", "ARGS=--json").splitlines() if "{" in line]
    assert {"champion", "deployment", "rollout", "canary"} == {entry["kind"] for entry in entries}


def test_a_port_of_another_program_is_not_shared(trained: Project) -> None:
    port = free_port()
    other = ["python3", "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with running(other, f"http://127.0.0.1:{port}/", trained.path, trained.env):
        said = trained.make("deploy", ok=False, PORT=str(port))
    assert f"127.0.0.1:{port} cannot be used (Address already in use: process " in said
    assert "http.server" in said


def test_commands_work_from_any_folder_and_answer_help_at_once(trained: Project, tmp_path: Path) -> None:
    python = str(trained.path / ".venv/bin/python")
    trained.run(python, "-m", trained.package, "history", cwd=tmp_path, PYTHONPATH=str(trained.path))
    assert list(tmp_path.iterdir()) == []
    times = []
    for _ in range(3):
        start = processor_seconds()
        trained.run(python, "-m", trained.package, "train", "--help")
        times.append(processor_seconds() - start)
    print(f"--help: {min(times):.2f} s")
    assert min(times) < 1, "0.3 s; imports of MLflow or BentoML would take more than this"


def processor_seconds() -> float:
    """Return the processor time of the commands that this process has run, whatever else runs beside them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_lock_does_not_change_a_current_lock(project: Project, tmp_path: Path) -> None:
    copy = project.copy(tmp_path / "titanic-survival")
    copy.leave_out_spark()
    locks = {path: path.read_text() for path in (copy.path / "requirements").glob("*.lock")}
    assert len(locks) == 5
    copy.make("lock")
    assert {path: path.read_text() for path in locks} == locks


def test_clean_removes_what_can_be_made_again(trained: Project, tmp_path: Path) -> None:
    copy = trained.variant(tmp_path / "copy", "direction")
    (copy.path / "store").mkdir()
    copy.make("clean")
    assert not (copy.path / ".venv").exists()
    assert not list(copy.path.rglob("__pycache__"))
    assert (copy.path / "store").exists()
