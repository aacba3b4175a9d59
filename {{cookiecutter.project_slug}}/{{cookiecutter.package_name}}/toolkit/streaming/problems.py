"""What is wrong with brokers and topics, one sentence for each problem; aiokafka only logs some of it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from aiokafka import errors

from ..common import console
from ..common.errors import UserError
from ..common.redaction import redact
from .connection import Connection, Topics

CREDENTIALS = (
    errors.AuthenticationFailedError,
    errors.AuthenticationMethodNotSupported,
    errors.IllegalSaslStateError,
    errors.SaslAuthenticationFailed,
    errors.UnsupportedSaslMechanismError,
)
PERMISSIONS = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.TransactionalIdAuthorizationFailed,
)
#: What a retry does not fix.
FATAL = (*CREDENTIALS, *PERMISSIONS, errors.InvalidTopicError, errors.InvalidGroupIdError)
#: Words of what aiokafka warns of though nothing is wrong: a group is rebalanced whenever a consumer comes or goes; the
#: writer says itself when it gets no producer id.
NO_PROBLEM = ("rebalanc", "rejoin", "Rebalanc", "current active member", "LeaveGroup", "InitProducerId")


class Problems(logging.Handler):
    """The current problem, told once; takes what aiokafka logs, whose clients try again without an error."""

    def __init__(self, connection: Connection, topics: Topics, group: str, tell: Callable[[bool], None]) -> None:
        super().__init__(logging.WARNING)
        self._connection, self._topics, self._group, self._tell = connection, topics, group, tell
        #: The problem, "" if there is none.
        self.current = ""
        #: What ends the stream, once aiokafka has logged it.
        self.fatal: UserError | None = None
        self._reason = ""

    def __enter__(self) -> Problems:
        """Take what aiokafka logs, and keep it from being printed."""
        logger = logging.getLogger("aiokafka")
        logger.propagate = False
        logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave aiokafka's log as it was."""
        logger = logging.getLogger("aiokafka")
        logger.propagate = True
        logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one message of aiokafka's log."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        for argument in arguments:
            kind = argument if isinstance(argument, type) else type(argument)
            if issubclass(kind, FATAL):
                error = argument if isinstance(argument, Exception) else kind()
                self.fatal = self.fatal or UserError(self.explain(error))
                return
        message, *_ = record.getMessage().splitlines() or [""]
        if any(word in message for word in NO_PROBLEM):
            return
        self._reason = str(arguments[-1]) if arguments and isinstance(arguments[-1], Exception) else message
        self.report(f"{self._brokers} cannot be reached: {self._reason.rstrip('.')}. Trying again.")

    @property
    def _brokers(self) -> str:
        return f"Kafka at {self._connection.brokers} (KAFKA_BROKERS)"

    def report(self, problem: str) -> None:
        """Tell a problem, unless one is known already: what follows from it would only hide it."""
        if not self.current:
            console.say(problem, "yellow")
            self.current = redact(problem)
            self._tell(True)

    def clear(self) -> None:
        """Forget the problem, since something has succeeded."""
        if self.current:
            console.say(f"{self._brokers} answers again.", "green")
            self.current = ""
            self._tell(False)

    def explain(self, error: Exception) -> str:
        """Return one sentence for an error: the thing, and what to do."""
        security, user = self._connection.security, self._connection.username
        if isinstance(error, CREDENTIALS):
            return (
                f"{self._brokers} does not accept the credentials of {user!r} ({_text(error)}). Check KAFKA_USERNAME, "
                f"KAFKA_PASSWORD, KAFKA_MECHANISM={self._connection.mechanism} and KAFKA_SECURITY={security}."
            )
        if isinstance(error, errors.TopicAuthorizationFailedError):
            rows, *written = self._topics
            return (
                f"{user or 'This client'} may not use a topic ({_text(error)}): it must read and describe {rows}, "
                f"and write to {' and '.join(written)}. Have the permissions added."
            )
        if isinstance(error, PERMISSIONS):
            return f"{user or 'This client'} may not read as group {self._group} (KAFKA_GROUP): have it permitted."
        if isinstance(error, FATAL):
            return f"Kafka does not accept a name ({_text(error)}): check the topics and KAFKA_GROUP={self._group}."
        if isinstance(error, errors.KafkaConnectionError):
            reason = (self._reason or _text(error)).rstrip(".")
            return f"{self._brokers} cannot be reached: {reason}. KAFKA_SECURITY is {security}. Trying again."
        return f"{self._brokers}: {_text(error).rstrip('.')}. Trying again from the committed offsets."

    def check_topics(self, existing: set[str]) -> None:
        """Raise `UserError` if a topic is missing; a client that just wrote to it might make it, with one partition."""
        settings = ("KAFKA_INPUT", "KAFKA_OUTPUT", "KAFKA_DEAD_LETTERS")
        named = dict(zip(settings, self._topics, strict=True))
        missing = {setting: name for setting, name in named.items() if name not in existing}
        if missing:
            listed = ", ".join(f"{name} ({setting})" for setting, name in missing.items())
            server = self._connection.brokers.split(",")[0]
            commands = "".join(
                f"\n  kafka-topics.sh --bootstrap-server {server} --create --topic {name} --partitions 4"
                for name in missing.values()
            )
            raise UserError(
                f"Kafka at {self._connection.brokers} has no topic {listed}, or "
                f"{self._connection.username or 'this client'} may not see it. Create what is missing, all with "
                f"the same number of partitions:{commands}"
            )


def _text(error: Exception) -> str:
    return redact(str(error) or type(error).__name__)
