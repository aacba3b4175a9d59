"""Names chosen when the project was generated, and settings read from the environment or from `.env`."""

from pathlib import Path
from typing import Literal

from dotenv import load_dotenv
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

PROJECT_NAME = {{ "%r" | format(cookiecutter.project_name) }}  # fmt: skip
DESCRIPTION = {{ "%r" | format(cookiecutter.description) }}  # fmt: skip
AUTHOR = {{ "%r" | format(cookiecutter.author) }}  # fmt: skip
SERVICE_NAME = "{{ cookiecutter.project_slug }}"
PACKAGE = "{{ cookiecutter.package_name }}"
TRACKING_URI = "{{ cookiecutter.mlflow_tracking_uri }}"

#: The project folder; everything the project writes lies in it, whatever the working directory is.
ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """What may differ from machine to machine; each field is an environment variable of the same name, in capitals."""

    model_name: str = Field("{{ cookiecutter.model_name }}", description="the model's name in the registry")
    mlflow_tracking_uri: str = Field(
        TRACKING_URI or f"sqlite:///{ROOT / 'mlflow.db'}", description="where runs and versions are recorded"
    )
    approval_required: bool = Field(False, description="train stops at challenger; `promote` is the approval")
    target: Literal["local"] = Field("local", description="where deploy and its companions work")
    bind_address: str = Field("127.0.0.1", description="the address that the service listens on")
    port: int = Field(3000, ge=1, le=65535, description="the port that the service listens on")
    workers: int = Field(1, ge=1, le=256, description="processes that the service runs in")
    auth: Literal["none", "token", "mlflow"] = Field(
        "none", description="who may call: anyone, whoever has a token, or whoever may read the model in MLflow"
    )
    tokens: Path = Field(ROOT / "tokens", description="the file of the tokens, one a line; # begins a comment")
    auth_seconds: float = Field(60, ge=0, description="how long MLflow's word on a caller is kept")
    auth_exempt: str = Field(
        "/livez,/readyz,/healthz,/ping,/health,/v2/health/live,/v2/health/ready,/metrics",
        description="the paths at which nobody is asked for credentials; a * at the end stands for anything",
    )
    max_rows: int = Field(10_000, ge=1, description="rows in one request; more are refused with 413")
    max_bytes: int = Field(16_000_000, ge=1, description="bytes in one request; more are refused with 413")
    max_waiting: int = Field(1000, ge=1, description="requests in work at once, a process; more are refused with 429")
    log_share: float = Field(1, ge=0, le=1, description="the share of requests whose predictions are logged")
    log_folder: Path = Field(ROOT / "log", description="where predictions and feedback are logged")
    log_megabytes: int = Field(
        1000, ge=100, description="the most that the logs of each kind take; the oldest files go first"
    )
    sync_seconds: float = Field(5, ge=0.1, description="how often `sync` asks the registry what should be served")
    grace_seconds: float = Field(3600, ge=0, description="how long `sync` keeps a version that is not served any more")
    webhook_secret: SecretStr = Field(SecretStr(""), description="signs MLflow's webhooks; `sync` listens with it")
    webhook_port: int = Field(3001, ge=1, le=65535, description="the port that `sync` listens on, at BIND_ADDRESS")
    store: Path = Field(ROOT / "store", description="the versions on this machine's disk")


def settings() -> Settings:
    """Return the settings in force; the environment wins over `.env`."""
    # MLflow reads its credentials from the environment itself, so `.env` has to reach that too.
    load_dotenv(ROOT / ".env")
    return Settings()
