"""The connection to Kafka: topics, brokers, TLS, and who logs in."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka.helpers import create_ssl_context

from ..common.errors import UserError


class Topics(NamedTuple):
    """The names of the topics: of rows, of their predictions, and of what cannot be scored."""

    rows: str
    predictions: str
    dead_letters: str


class Connection(NamedTuple):
    """How the brokers are reached; `options` makes the arguments of a client of it."""

    #: Addresses, host:port, separated by commas.
    brokers: str
    #: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
    security: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    username: str = ""
    password: str = ""
    #: Files in PEM: the authorities that sign the brokers' certificates, and this client's own certificate and key.
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def options(self) -> dict[str, Any]:
        """Return the arguments that consumer and producer share; `UserError` for settings that do not fit together."""
        options: dict[str, Any] = {"bootstrap_servers": self.brokers, "security_protocol": self.security}
        if self.security.endswith("SSL"):
            options["ssl_context"] = self._tls()
        if self.security.startswith("SASL"):
            if not (self.username and self.password):
                raise UserError(f"KAFKA_SECURITY={self.security} needs KAFKA_USERNAME and KAFKA_PASSWORD; set both.")
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        elif self.username:
            raise UserError(
                f"KAFKA_USERNAME is set, but KAFKA_SECURITY={self.security} does not log in: "
                "set it to SASL_SSL, or to SASL_PLAINTEXT where the brokers have no TLS."
            )
        return options

    def _tls(self) -> ssl.SSLContext:
        for name, path in (("CA", self.authorities), ("CERTIFICATE", self.certificate), ("KEY", self.key)):
            if path and not path.is_file():
                raise UserError(f"KAFKA_{name}={path}: there is no such file; name one in PEM.")
        try:
            return create_ssl_context(cafile=self.authorities, certfile=self.certificate, keyfile=self.key)
        except (OSError, ValueError) as error:
            files = ", ".join(str(path) for path in (self.authorities, self.certificate, self.key) if path)
            raise UserError(
                f"{files} cannot be used for TLS: {error}. KAFKA_CA, KAFKA_CERTIFICATE and KAFKA_KEY name files in PEM."
            ) from error
