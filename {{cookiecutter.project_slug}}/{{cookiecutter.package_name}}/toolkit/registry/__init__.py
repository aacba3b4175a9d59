"""The only room that knows MLflow: versions, runs, history, permissions, webhooks."""

from __future__ import annotations

import logging
import os

# Before any module of this room imports MLflow, which reads some of these once, at import. With its default retries,
# MLflow would notice only after five minutes that a server does not answer.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Our own steps show progress.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# An error of a database, which it logs with its traceback, is raised as well.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
