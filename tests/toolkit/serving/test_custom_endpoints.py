"""What the log keeps of what endpoints raise: faults of the service, and not its callers' mistakes."""

import logging

import pytest
from bentoml.exceptions import BadInput, BentoMLException
from pydantic import TypeAdapter, ValidationError
from titanic_survival.toolkit.serving import custom_endpoints


def invalid() -> ValidationError:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(int).validate_python("x")
    return error.value


@pytest.mark.parametrize("logger", custom_endpoints.LOGGERS)
def test_faults_are_logged_and_callers_mistakes_are_not(logger: str, caplog: pytest.LogCaptureFixture) -> None:
    custom_endpoints.log_faults_only()
    gone = RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
    for error in (BadInput("bad"), invalid(), gone, RuntimeError("broken"), BentoMLException("fault")):
        logging.getLogger(logger).error("in an endpoint", exc_info=error)
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["broken", "fault"]
