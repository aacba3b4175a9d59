"""What doctor checks beside the machine: the parts of the project that the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial

from .. import config
from ..toolkit.common.errors import UserError
from ..toolkit.common.findings import Check, Finding, ok
from ..toolkit.diagnosis import brokers, cluster, deployment, golden, versions
from ..toolkit.registry import server_checks
from ..toolkit.registry.client import Registry, connect
from ..toolkit.registry.errors import mlflow_errors
from ..toolkit.registry.registered_model import predict_example
from ..toolkit.release.desired import desired_release
from ..toolkit.release.store import Release
from ..toolkit.release.targets import Target
from ..toolkit.version.signature import Verifier
from . import targets
from .access import access_policy, authorization, check_authorized
from .trust import allows_pickle, model_store, signer, trusted_signers

NO_ANSWER = "see that the address is right, and that network, proxy and name server work"
#: Seconds for what loads every version, and for what downloads each from the registry.
LOAD_SECONDS, DOWNLOAD_SECONDS = 60, 120


class ProjectChecks:
    """The checks of a project, by its settings."""

    def __init__(self, settings: config.Settings) -> None:
        self._settings, self._store, self._trusted = settings, model_store(settings), trusted_signers(settings)
        self._mlflow = settings.mlflow_tracking_uri, settings.model_name

    def applicable(self) -> list[Check]:
        """Return the checks that apply."""
        settings = self._settings
        store = partial(
            versions.check,
            self._store,
            settings.model_name,
            self._trusted,
            allow_pickle=allows_pickle(settings),
        )
        found = [Check("mlflow", partial(server_checks.check, *self._mlflow), hint=NO_ANSWER)]
        if settings.webhook_secret.get_secret_value():
            webhook = partial(server_checks.check_webhook, *self._mlflow, config.SERVICE_NAME)
            found.append(Check("webhook", webhook, hint=NO_ANSWER))
        if settings.signing_key or settings.signing_keyless or self._trusted:
            found.append(Check("signing", self._signing, hint=NO_ANSWER))
        found.append(Check("store", store, LOAD_SECONDS))
        if settings.auth != "none":
            found.append(Check("access", self._access, hint=NO_ANSWER))
        if settings.target == "kubernetes":
            access = partial(cluster.check, settings.kubernetes_context, settings.kubernetes_namespace)
            found.append(Check("kubernetes", access, hint=NO_ANSWER))
        if "kafka_brokers" in settings.model_fields_set:  # there is a default, for those who have none it means nothing
            found.append(Check("kafka", partial(brokers.check, settings.kafka_brokers), hint=NO_ANSWER))
        found.append(Check("service", self._service, LOAD_SECONDS, NO_ANSWER))
        if settings.target in ("local", "docker"):
            found.append(Check("port", self._port))
        found.append(Check("golden", self._golden, LOAD_SECONDS))
        if settings.target in ("docker", "kubernetes"):
            found.append(Check("golden", self._golden_deployed, LOAD_SECONDS, NO_ANSWER))
        if not self._trusted and allows_pickle(settings):
            # No signature covers the code around a registered version, which runs when MLflow loads it.
            found.append(Check("golden", self._golden_mlflow, DOWNLOAD_SECONDS, NO_ANSWER))
        return found

    @cached_property
    def _target(self) -> Target:
        return targets.target(self._settings)

    def _signing(self) -> Iterator[Finding]:
        if self._settings.signing_key or self._settings.signing_keyless:
            signer(self._settings)
            yield ok("versions can be signed")
        elif self._trusted:
            Verifier(self._trusted)
            yield ok(f"{self._trusted} can be used")

    def _access(self) -> Iterator[Finding]:
        policy = access_policy(self._settings)
        policy.load()
        check_authorized(policy, authorization(self._settings))
        yield ok(f"AUTH={self._settings.auth}, and the credentials of this user are accepted")

    def _registry(self) -> Registry | None:
        """Return the registry, None if it does not exist or answer: that is a finding of another check."""
        if server_checks.has_no_database(self._settings.mlflow_tracking_uri):
            return None
        try:
            return connect(*self._mlflow)
        except UserError:
            return None

    def _desired(self) -> Release | None:
        registry = self._registry()
        with mlflow_errors(self._settings.mlflow_tracking_uri):
            return desired_release(registry) if registry else None

    def _service(self) -> Iterator[Finding]:
        yield from deployment.service(self._target, self._desired)

    def _port(self) -> Iterator[Finding]:
        yield from deployment.port(self._settings.bind_address, self._settings.port, self._target)

    def _golden(self) -> Iterator[Finding]:
        # What is deployed elsewhere has a check of its own, since it may not answer.
        running = self._target.running() if self._settings.target == "local" else None
        service = golden.by_service(running.url, authorization(self._settings)) if running else golden.in_process
        yield from golden.check(self._store, {"batch": golden.batch, "service": service, "stream": golden.stream})

    def _golden_deployed(self) -> Iterator[Finding]:
        if running := self._target.running():
            service = golden.by_service(running.url, authorization(self._settings))
            yield from golden.check(self._store, {f"service ({self._settings.target})": service})

    def _golden_mlflow(self) -> Iterator[Finding]:
        def ask(version: golden.Version) -> golden.Predictions:
            return predict_example(*self._mlflow, version.number, version.artifact)

        if self._store.release() and self._registry():
            yield from golden.check(self._store, {"mlflow.pyfunc": ask})
