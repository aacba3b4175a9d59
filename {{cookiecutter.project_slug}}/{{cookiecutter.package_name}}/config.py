"""Names chosen when the project was generated, and settings read from the environment or from `.env`."""

from pathlib import Path
from typing import Literal

from dotenv import load_dotenv
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_NAME = {{ "%r" | format(cookiecutter.project_name) }}  # fmt: skip
DESCRIPTION = {{ "%r" | format(cookiecutter.description) }}  # fmt: skip
AUTHOR = {{ "%r" | format(cookiecutter.author) }}  # fmt: skip
SERVICE_NAME = "{{ cookiecutter.project_slug }}"
PACKAGE = "{{ cookiecutter.package_name }}"
TRACKING_URI = "{{ cookiecutter.mlflow_tracking_uri }}"

#: The project folder. By default everything is written below it, whatever the working directory.
ROOT = Path(__file__).resolve().parent.parent
#: Where sbom writes, and audit reads.
SBOM_FOLDER = ROOT / "build" / "sbom"


class Settings(BaseSettings):
    """Settings of one machine; each field is read from the environment variable of its name in capitals."""

    # In a pipeline, a variable that was not set for the repository is empty.
    model_config = SettingsConfigDict(env_ignore_empty=True)

    model_name: str = Field("{{ cookiecutter.model_name }}", description="name of the model in the registry")
    mlflow_tracking_uri: str = Field(
        TRACKING_URI or f"sqlite:///{ROOT / 'mlflow.db'}",
        description="MLflow server, or database, with runs and registered versions",
    )
    approval_required: bool = Field(
        False, description="train stops at challenger; promote is the approval, without which no champion is served"
    )
    four_eyes: bool = Field(
        False, description="who trained a version may not approve it; every champion needs an approval then"
    )
    strict: bool = Field(
        False, description="columns that the schema does not know, or that are missing, are an error, not a warning"
    )
    max_rejects: float = Field(
        1, ge=0, le=1, description="share of rejected rows, from 0 to 1, above which a batch job fails, and feedback"
    )
    resume: bool = Field(False, description="a batch job goes on with the files that its output folder lacks")
    query: str = Field(
        "", description="SELECT that a batch job reads from a database; @file.sql names a file that has it"
    )
    table: str = Field("", description="table of a database that a batch job writes, as scores or sales.scores")
    batch_job: str = Field(
        "", description="name of a batch job in its table, whose rows the next run replaces; by default the input's"
    )
    engine: Literal["local", "spark"] = Field("local", description="what scores a batch job: this machine, or Spark")
    spark_master: str = Field(
        "local[*]", description="master with ENGINE=spark: local[*], spark://host:7077, yarn or k8s://https://host:6443"
    )
    bootstrap_seconds: float = Field(
        5, ge=0, description="seconds for the intervals of the differences from the champion, where metrics() is slow"
    )
    retrain_trigger: Literal["", "local", "github", "gitlab", "airflow", "webhook"] = Field(
        "", description="what starts a training when the rules of monitor ask for one; if not set, monitor only says so"
    )
    retrain_url: str = Field("", description="address that starts a training, for triggers that are not local")
    retrain_token: SecretStr = Field(SecretStr(""), description="token for that address; of Airflow, user:password too")
    retrain_event: str = Field(
        "retrain", pattern=r"^\S{1,100}$", description="type of the event with RETRAIN_TRIGGER=github"
    )
    retrain_template: Path | None = Field(
        None, description="file of the JSON body with RETRAIN_TRIGGER=webhook; by default, the whole request"
    )
    retrain_cooldown_hours: float = Field(24, ge=0, description="hours between two trainings that monitor starts")
    retrain_daily_cap: int = Field(2, ge=1, description="trainings that monitor starts within 24 hours, at most")
    trials: int = Field(50, ge=1, description="trials of a search by tune, with those of an interrupted one")
    tune_minutes: float = Field(10, gt=0, description="minutes that a search by tune may take, each time")
    canary: bool = Field(False, description="train stops at challenger; deploy then raises its traffic as canary does")
    canary_steps: str = Field("1,5,25,50,100", description="percentages of the traffic that a canary goes through")
    canary_requests: int = Field(500, ge=50, description="requests to the challenger that each step needs")
    canary_labels: int = Field(0, ge=0, description="labels for the challenger's predictions that each step needs")
    canary_seconds: float = Field(3600, gt=0, description="seconds that a step may take before the canary goes back")
    target: Literal["local", "docker", "kubernetes", "sagemaker", "lambda"] = Field(
        "local", description="where the service runs: local, docker, kubernetes, sagemaker or lambda"
    )
    image: str = Field(
        "",
        description="image to deploy, by digest (name@sha256:...) on a cluster; built if not set",
    )
    kubernetes_overlay: str = Field("staging", description="folder of deploy/kubernetes/overlays that is deployed")
    kubernetes_context: str = Field("", description="kubectl's context; the current one if not set")
    kubernetes_namespace: str = Field("", description="namespace to deploy to; the context's if not set")
    sagemaker_endpoint: str = Field(
        SERVICE_NAME, pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,39}$", description="name of the endpoint on SageMaker"
    )
    sagemaker_role: str = Field("", description="ARN of the role that SageMaker takes to run the endpoint")
    sagemaker_mode: Literal["instances", "serverless", "asynchronous"] = Field(
        "instances", description="what the endpoint runs on; asynchronous: instances that answer through S3"
    )
    sagemaker_instance: str = Field("ml.m5.large", pattern=r"^ml\..+", description="type of the instances")
    sagemaker_instances: int = Field(1, ge=1, le=100, description="number of instances")
    sagemaker_memory: int = Field(2048, ge=1024, le=6144, multiple_of=1024, description="megabytes when serverless")
    sagemaker_concurrency: int = Field(5, ge=1, le=200, description="requests at once when serverless")
    sagemaker_output: str = Field("", description="folder in S3 for the answers of an asynchronous endpoint")
    sagemaker_seconds: float = Field(
        1800, ge=600, le=28_800, description="seconds that a rollout on SageMaker may take before it is undone"
    )
    lambda_function: str = Field(
        SERVICE_NAME, pattern=r"^[a-zA-Z0-9_-]{1,64}$", description="name of the function on AWS Lambda"
    )
    lambda_role: str = Field("", description="ARN of the role that Lambda takes to run the function")
    lambda_memory: int = Field(2048, ge=128, le=10_240, description="megabytes of the function; processors follow them")
    lambda_timeout: int = Field(30, ge=1, le=900, description="seconds that the function may take for a request")
    lambda_public: bool = Field(False, description="the function's URL takes requests that are not signed")
    rollout_seconds: float = Field(300, ge=1, description="seconds that a rollout may take before it is undone")
    yes: bool = Field(False, description="production is changed without asking")
    bind_address: str = Field(
        "127.0.0.1", description="address that the service listens on; 0.0.0.0 admits other machines"
    )
    port: int = Field(3000, ge=1, le=65535, description="port that the service listens on")
    root_path: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="path under which the service answers too, as /models/this",
    )
    workers: int = Field(1, ge=1, le=256, description="number of worker processes")
    auth: Literal["none", "token", "mlflow"] = Field(
        "none", description="who may call: anyone, callers with a token, or callers who may read the model in MLflow"
    )
    tokens: Path = Field(ROOT / "tokens", description="file of tokens for AUTH=token, one a line; # begins a comment")
    auth_seconds: float = Field(60, ge=0, description="seconds for which a permission of MLflow is cached")
    auth_exempt: str = Field(
        "/livez,/readyz,/healthz,/ping,/health,/v2/health/live,/v2/health/ready,/metrics",
        description="paths that need no credentials; a trailing * matches every path with that prefix",
    )
    max_rows: int = Field(
        10_000, ge=1, description="maximum number of rows in a request; larger requests are rejected with 413"
    )
    max_bytes: int = Field(
        16_000_000, ge=1, description="maximum number of bytes in a request; larger requests are rejected with 413"
    )
    max_waiting: int = Field(
        1000, ge=1, description="maximum number of requests at once in each worker; more are rejected with 429"
    )
    max_bytes_in_flight: int = Field(
        200_000_000,
        ge=1,
        description="maximum number of bytes of all requests at once in each worker; more are rejected with 429",
    )
    read_seconds: float = Field(
        30, gt=0, description="seconds that the header of a request may take, and its body; slower ones get 408"
    )
    log_share: float = Field(
        1, ge=0, le=1, description="share of the requests whose predictions are logged, from 0 to 1"
    )
    log_folder: Path = Field(ROOT / "log", description="folder of the logs of predictions and feedback")
    log_megabytes: int = Field(
        1000, ge=100, description="maximum size of each kind of log in megabytes; the oldest files are removed"
    )
    days: float = Field(7, gt=0, le=1000, description="days of the prediction log that the report of monitor shows")
    service_url: str = Field("", description="address of the service to which feedback sends labels, as its callers do")
    pushgateway: str = Field("", description="address of a Pushgateway that gets the metrics of each batch job")
    metrics_file: str = Field(
        "", description="file of node_exporter that gets them, in its textfile folder; its name ends in .prom"
    )
    metrics_job: str = Field("", description="label job of these metrics; MODEL_NAME if not set")
    prometheus_url: str = Field("", description="address of a Prometheus that scrapes the service")
    prometheus_job: str = Field("", description="label job of this model there, where it scrapes several models")
    sync_seconds: float = Field(5, ge=0.1, description="seconds between two requests of sync to the registry")
    grace_seconds: float = Field(3600, ge=0, description="seconds for which sync keeps a version that is not served")
    rollback_seconds: float = Field(
        3600,
        ge=0,
        le=30 * 86_400,
        description="seconds for which the previous champion stays in memory after a promotion; 0: not at all",
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="secret that signs MLflow's webhooks; when set, sync listens for them"
    )
    webhook_port: int = Field(3001, ge=1, le=65535, description="port at BIND_ADDRESS that sync listens on")
    image_repository: str = Field(
        SERVICE_NAME, description="image name without tag; with its registry: registry.example.com/team/name"
    )
    registry_username: str = Field("", description="user with which make login logs in to the image registry")
    registry_password: SecretStr = Field(SecretStr(""), description="password or token of that user")
    base_image: str = Field("", description="base of the image; the Dockerfile has the default")
    container_engine: Literal["", "docker", "podman", "buildah"] = Field(
        "", description="program that builds and runs the image; by default the first that works"
    )
    container_build_args: str = Field("", description="further options of the engine's build command")
    advisory_url: str = Field("https://api.osv.dev", description="advisory service of audit, with the interface of OSV")
    signing_key: Path | None = Field(None, description="file of the private key that train signs versions with")
    signing_password: SecretStr = Field(SecretStr(""), description="password of that key, if it is encrypted")
    signing_certificate: Path | None = Field(
        None, description="file of that key's certificate, and of those between it and the authority in VERIFY_KEY"
    )
    signing_keyless: bool = Field(
        False, description="train signs versions as who runs it, of whom an identity provider says who that is"
    )
    verify_key: Path | None = Field(
        None,
        description="file of public keys, or of authorities' certificates; a version that none has signed is refused",
    )
    verify_identity: str = Field(
        "", description="identities, separated by commas; a version that none has signed without a key is refused"
    )
    verify_issuer: str = Field(
        "https://token.actions.githubusercontent.com", description="identity provider that vouches for them"
    )
    sigstore_trust_config: Path | None = Field(
        None, description="file of the trust config of a private Sigstore; by default the public one signs and verifies"
    )
    allow_pickle: bool = Field(
        False, description="where TARGET is not local, versions that are a pickle need no signature"
    )
    kafka_brokers: str = Field("localhost:9092", description="Kafka brokers of stream, host:port, separated by commas")
    kafka_input: str = Field(f"{SERVICE_NAME}-rows", description="topic of rows that stream scores")
    kafka_output: str = Field(f"{SERVICE_NAME}-predictions", description="topic to which stream writes predictions")
    kafka_dead_letters: str = Field(
        f"{SERVICE_NAME}-dead-letters", description="topic to which stream writes messages that cannot be scored"
    )
    kafka_group: str = Field(SERVICE_NAME, description="consumer group whose members share the partitions")
    kafka_start: Literal["earliest", "latest"] = Field(
        "earliest", description="where a group begins that has committed no offsets"
    )
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="whether the brokers have TLS (SSL) and clients log in (SASL)"
    )
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="how stream logs in to the brokers"
    )
    kafka_username: str = Field("", description="user who logs in to the brokers")
    kafka_password: SecretStr = Field(SecretStr(""), description="password of that user")
    kafka_ca: str = Field("", description="file in PEM of the authorities that sign the brokers' certificates")
    kafka_certificate: str = Field("", description="file in PEM of the certificate with which stream identifies itself")
    kafka_key: str = Field("", description="file in PEM of the key of that certificate")
    stream_port: int = Field(3002, ge=1, le=65535, description="port at BIND_ADDRESS of stream's health and metrics")
    store: Path = Field(ROOT / "store", description="folder of the versions and the current release")


def settings() -> Settings:
    """Return the current settings; the environment takes precedence over `.env`."""
    # MLflow reads its credentials from the environment, so `.env` is loaded into that.
    load_dotenv(ROOT / ".env")
    return Settings()
