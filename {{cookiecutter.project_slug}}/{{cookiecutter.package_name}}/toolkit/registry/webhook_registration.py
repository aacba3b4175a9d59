"""Registering webhooks: have an MLflow server deliver changes of the registry."""

from __future__ import annotations

from mlflow.entities.webhook import WebhookEventStr
from mlflow.exceptions import MlflowException

from ..common.errors import UserError
from .client import Registry
from .errors import describe, phrase, reason

#: What MLflow delivers of all that a release depends on; tags of the model itself are not among its events.
EVENTS: tuple[WebhookEventStr, ...] = (
    "model_version_alias.created",
    "model_version_alias.deleted",
    "model_version_tag.set",
    "model_version_tag.deleted",
)


def deliver(registry: Registry, address: str, secret: str, name: str) -> str:
    """Have the server deliver changes to an address; return what a first delivery met with, "" if it arrived."""
    if not registry.is_server:
        raise UserError(f"{registry.uri} is a database, and only an MLflow server delivers webhooks: sync polls it.")
    try:
        found = [webhook for webhook in registry.client.list_webhooks(max_results=1000) if webhook.url == address]
        if found:
            webhook = registry.client.update_webhook(
                found[0].webhook_id, events=[*EVENTS], secret=secret, status="ACTIVE"
            )
        else:
            webhook = registry.client.create_webhook(name, address, [*EVENTS], secret=secret)
    except MlflowException as error:
        raise UserError(_undeliverable(registry.uri, error)) from error
    try:
        result = registry.client.test_webhook(webhook.webhook_id)
    except MlflowException as error:  # it takes longer than this side waits
        return reason(error)
    said = result.error_message or f"{result.response_status} {result.response_body}"
    return "" if result.success else phrase(said) or said


def _undeliverable(uri: str, error: MlflowException) -> str:
    text = describe(uri, error)
    if " forbids " in text:
        return f"{uri} has its administrators register webhooks: ask one, or act as one (MLFLOW_TRACKING_USERNAME)."
    needed = {
        "500 error responses": "a lasting MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY: it cannot read its webhooks",
        "Invalid webhook URL scheme": "MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https, or an https address",
        "non-public IP address": "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true, or a public address",
    }
    for message, setting in needed.items():
        if message in str(error):
            return f"The MLflow server at {uri} needs {setting}."
    return text
