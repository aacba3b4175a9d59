"""Airflow 3: its REST API starts a run of a DAG, with the request as its `conf`.

The claim is the id of the run, so a request that arrives twice starts one run.
"""

from __future__ import annotations

import re
from typing import Any

import httpx

from ..common.errors import UserError
from ..common.redaction import redact_address
from .request import Request, Start
from .sending import Service

ADDRESS = re.compile(r"(https?://.+)/api/v2/dags/([^/]+)/dagRuns/?")
BRACES = re.compile(r"\{(?=[{%#])")
#: The status of a run whose id there is already.
EXISTS = 409
CURES = {
    401: "RETRAIN_TOKEN is wrong or has expired; it is a JWT, or USER:PASSWORD, for which Airflow gives one",
    403: "RETRAIN_TOKEN is no valid token, or its user may not start this DAG",
    404: "there is no such DAG, or it was not parsed; RETRAIN_URL is https://HOST/api/v2/dags/DAG/dagRuns",
    422: "this Airflow does not take the request; it must be of release 3",
}


class Airflow:
    """A DAG, by the address of its runs; the token is a JWT, or user and password with a colon between them."""

    name = "airflow"

    def __init__(self, url: str, token: str, **options: Any) -> None:
        found = ADDRESS.fullmatch(url)
        if not found:
            raise UserError(
                f"RETRAIN_URL={redact_address(url)} is no address of a DAG's runs: for Airflow it is "
                "https://airflow.example.com/api/v2/dags/DAG/dagRuns"
            )
        self._host, self._dag = found[1], found[2]
        self._service = Service("Airflow", url, token, CURES, repeatable=True, **options)

    def start(self, request: Request, claim: str) -> Start:
        """Start a run, unless the DAG is paused: a run of a paused DAG would wait for the day when it is not."""
        headers = {"Authorization": f"Bearer {self._token()}"}
        dag = self._service.send("GET", f"{self._host}/api/v2/dags/{self._dag}", headers=headers)
        if _value(dag, "is_paused") is True:
            raise UserError(f"The DAG {self._dag} at {redact_address(self._host)} is paused: unpause it in Airflow.")
        run = f"retrain__{claim}"
        # Airflow requires the key: None is a run without a date.
        conf = {key: _harmless(value) for key, value in request._asdict().items()}
        body = {"dag_run_id": run, "logical_date": None, "conf": conf, "note": conf["reason"]}
        self._service.send("POST", json=body, headers=headers, accepted=frozenset({EXISTS}))
        return Start(f"the run is {redact_address(self._host)}/dags/{self._dag}/runs/{run}")

    def _token(self) -> str:
        user, colon, password = self._service.secret.partition(":")
        if not colon:
            return self._service.secret
        service = self._service._replace(secret=password)
        answer = service.send("POST", f"{self._host}/auth/token", json={"username": user, "password": password})
        token = _value(answer, "access_token")
        if not isinstance(token, str):
            raise UserError(f"{self._service.text} gives no token for user {user!r}: set RETRAIN_TOKEN to a JWT.")
        return token


def _harmless(value: Any) -> Any:
    """Return a value without the beginning of a Jinja expression: some operators render what they have rendered."""
    if isinstance(value, tuple):
        return [_harmless(one) for one in value]
    return BRACES.sub("{ ", value) if isinstance(value, str) else value


def _value(answer: httpx.Response, key: str) -> object:
    """Return a value of the object that was answered, None if there is none."""
    try:
        content = answer.json()
    except ValueError:
        return None
    return content.get(key) if isinstance(content, dict) else None
