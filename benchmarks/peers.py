"""The servers that are compared: each as its own documentation would have it, one worker, the same model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .project import python

HERE = Path(__file__).parent
Rows = list[dict[str, Any]]


class Peer(NamedTuple):
    """A server: how it is started, and how it is asked to score rows."""

    name: str
    command: Callable[[Places, int], list[str]]
    path: str = "/predict"
    ready: str = "/readyz"
    body: Callable[[Rows], Any] = lambda rows: rows
    #: A server that answers without scoring: what the frameworks cost alone.
    is_floor: bool = False


class Places(NamedTuple):
    """Where things are: the project with its environment, MLServer's environment, the model that peers load."""

    project: Path
    mlserver: Path
    model: Path

    @property
    def python(self) -> str:
        """The project's Python."""
        return python(self.project)


def _split(rows: Rows) -> Any:
    return {"dataframe_split": {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}}


def _open_inference(rows: Rows) -> Any:
    def tensor(name: str) -> dict[str, Any]:
        values = [row[name] for row in rows]
        words = isinstance(values[0], str)
        parameters = {"content_type": "str"} if words else {}
        kind = "BYTES" if words else "FP64" if isinstance(values[0], float) else "INT64"
        return {"name": name, "shape": [len(rows), 1], "datatype": kind, "data": values, "parameters": parameters}

    return {"parameters": {"content_type": "pd"}, "inputs": [tensor(name) for name in rows[0]]}


def _uvicorn(application: str) -> Callable[[Places, int], list[str]]:
    def command(places: Places, port: int) -> list[str]:
        server = [places.python, "-m", "uvicorn", application, "--app-dir", str(HERE), "--port", str(port)]
        return [*server, "--no-access-log", "--log-level", "warning"]

    return command


def _bentoml(service: str, folder: Callable[[Places], Path]) -> Callable[[Places, int], list[str]]:
    def command(places: Places, port: int) -> list[str]:
        bentoml = str(places.project / ".venv/bin/bentoml")
        return [bentoml, "serve", service, "--working-dir", str(folder(places)), "--port", str(port)]

    return command


def _project(places: Places, port: int) -> list[str]:
    return [places.python, "-m", "titanic_survival", "serve", "--no-pull"]


def _mlflow(places: Places, port: int) -> list[str]:
    serve = [places.python, "-m", "mlflow", "models", "serve", "--model-uri", str(places.model)]
    return [*serve, "--env-manager", "local", "--port", str(port), "--workers", "1"]


def _mlserver(places: Places, port: int) -> list[str]:
    settings = {
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "parallel_workers": 0,
        "debug": False,
    }
    model = {
        "name": "titanic",
        "implementation": "mlserver_mlflow.MLflowRuntime",
        "parameters": {"uri": str(places.model)},
    }
    folder = places.mlserver / "settings"
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    return [str(places.mlserver / "bin/mlserver"), "start", str(folder)]


PEERS = (
    Peer("this service", _project),
    Peer(
        "this service under bentoml serve",
        _bentoml("titanic_survival.service:Service", lambda places: places.project),
    ),
    Peer("mlflow models serve", _mlflow, "/invocations", "/ping", _split),
    Peer("FastAPI + pandas + scikit-learn", _uvicorn("fastapi_peer:app"), ready="/docs"),
    Peer("MLServer + mlserver-mlflow", _mlserver, "/v2/models/titanic/infer", "/v2/health/ready", _open_inference),
    Peer(
        "BentoML import_model, batchable",
        _bentoml("bentoml_peer:Peer", lambda places: HERE),
        body=lambda rows: {"rows": rows},
    ),
    Peer("floor: no-op BentoML service", _bentoml("floors:NoOp", lambda places: HERE), "/noop", is_floor=True),
    Peer("floor: no-op under uvicorn", _uvicorn("floors:app"), ready="/", is_floor=True),
)
