"""GitLab: a trigger token starts a pipeline with the variables PIPELINE=train and WHY (.gitlab-ci.yml)."""

from __future__ import annotations

import re
from typing import Any

import httpx

from ..common.errors import UserError
from ..common.redaction import redact_address
from ..common.tag_text import line
from .request import Request, Start
from .sending import Service

ADDRESS = re.compile(r"https?://.+/api/v4/projects/[^/]+/trigger/pipeline")
BRANCH = "main"
CURES = {
    400: "there is no such branch (another: ...?ref=BRANCH), or the token's owner has not the minimum role to use "
    "pipeline variables (Settings, CI/CD, Variables)",
    401: "RETRAIN_TOKEN is no trigger token of this project; make one under Settings, CI/CD, Pipeline trigger tokens",
    403: "the token's owner may not run pipelines on this branch",
    404: "there is no such project, or RETRAIN_TOKEN is no trigger token of it (Settings, CI/CD)",
}


class GitLab:
    """A project, by the address at which its pipelines are triggered; `?ref=` names another branch than main."""

    name = "gitlab"

    def __init__(self, url: str, token: str, project: str = "", **options: Any) -> None:
        address, _, query = url.partition("?")
        if not ADDRESS.fullmatch(address):
            raise UserError(
                f"RETRAIN_URL={redact_address(url)} is no address that triggers pipelines: for GitLab it is "
                "https://gitlab.example.com/api/v4/projects/PROJECT/trigger/pipeline, where PROJECT is a number or "
                "GROUP%2FNAME"
            )
        self._service = Service("GitLab", address, token, CURES, **options)
        self._branch = httpx.QueryParams(query).get("ref", BRANCH)
        self._project = project

    def start(self, request: Request, claim: str) -> Start:
        """Start the pipeline."""
        form = {
            "token": self._service.secret,
            "ref": self._branch,
            "variables[PIPELINE]": "train",
            # In a repository of several projects: which of them.
            "variables[PROJECT]": self._project,
            # A runner replaces $NAME in values of variables.
            "variables[WHY]": request.reason.replace("$", ""),
        }
        answer = self._service.send("POST", data=form)
        return Start(f"the pipeline is {_address(answer)}")


def _address(answer: httpx.Response) -> str:
    """Return where a pipeline is to be seen."""
    try:
        return line(str(answer.json()["web_url"]))
    except (ValueError, KeyError, TypeError):
        return "in the project's list of pipelines"
