"""Endpoints of a project's own: routes made of functions, which score rows as `POST /predict` does."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from http import HTTPStatus
from importlib import import_module
from importlib.util import find_spec
from types import FunctionType
from typing import Any, TypeVar

import bentoml
import orjson
from bentoml.exceptions import BadInput, BentoMLException
from pydantic import BaseModel, ValidationError

from ..common.errors import UserError
from .scoring import Scorer

Predict = Callable[..., Awaitable[list[dict[str, Any]]]]
Service = TypeVar("Service", bound=type)

#: The parameter that is given to an endpoint, and is no field of its requests.
PREDICT = "predict"
#: Paths of one plain name that the service answers itself.
TAKEN = {"explain", "feedback", "model", "predict", "readyz", "versions"}
TAKEN |= {"health", "invocations", "ping", "v2", "version"}  # of the other protocols
TAKEN |= {"healthz", "livez", "metrics"}  # BentoML's
#: Where BentoML and the server log what an endpoint raises.
LOGGERS = ("bentoml._internal.server.http_app", "uvicorn.error")
#: uvloop's error when the client has disconnected.
CONNECTION_CLOSED = "the handler is closed"


def predict_as(scorer: Scorer) -> Predict:
    """Return a function that scores rows as `POST /predict` does: checked, counted, logged, or rejected."""

    async def predict(
        rows: Sequence[BaseModel | dict[str, Any]], version: str | None = None, key: str = ""
    ) -> list[dict[str, Any]]:
        plain = [row.model_dump(mode="json") if isinstance(row, BaseModel) else row for row in rows]
        status, content = await scorer.answer(orjson.dumps(plain), version, key=key.encode())
        answer = orjson.loads(content)
        if status == 200:
            return answer
        problems = [f"row {one['row']}: {one['field']}: {one['reason']}" for one in answer.get("problems", ())]
        raise BentoMLException("; ".join([answer["error"], *problems]), error_code=HTTPStatus(status))

    return predict


def with_endpoints(module: str, predict: Predict) -> Callable[[Service], Service]:
    """Return a decorator that adds each `async def` of a module to a service's class, as `POST /<its name>`.

    Apply it below `bentoml.service`. Nothing is added where the module is missing.

    Raises:
        UserError: for a function that cannot be a route.
    """

    def add(service: Service) -> Service:
        for name, function in _functions(module).items():
            try:
                setattr(service, name, bentoml.api(_method(function, predict), route=f"/{name}"))
            except TypeError as error:
                raise UserError(f"{_file(module)}: {name}: {error}") from error
        return service

    return add


def _functions(module: str) -> dict[str, FunctionType]:
    """Return the endpoints that a module defines; its other functions are helpers."""
    if find_spec(module) is None:
        return {}
    found = {}
    for name, function in vars(import_module(module)).items():
        if not isinstance(function, FunctionType) or function.__module__ != module or name.startswith("_"):
            continue
        if inspect.iscoroutinefunction(function):
            if name in TAKEN:
                raise UserError(f"{_file(module)}: {name}: the service answers /{name} itself; choose another name")
            found[name] = function
        elif PREDICT in inspect.signature(function).parameters:
            raise UserError(f"{_file(module)}: {name}: write `async def {name}`, so that it can `await predict(rows)`")
    return found


def _file(module: str) -> str:
    return "/".join(module.split(".")[-2:]) + ".py"


def _method(function: FunctionType, predict: Predict) -> Callable[..., Awaitable[Any]]:
    """Return a function as a method of the service; a ValueError that it raises is its caller's mistake."""
    signature = inspect.signature(function)
    fields = [parameter for name, parameter in signature.parameters.items() if name != PREDICT]
    given = {PREDICT: predict} if PREDICT in signature.parameters else {}

    @wraps(function)
    async def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **given, **kwargs)
        except ValueError as error:
            raise BadInput(str(error)) from error

    # What BentoML reads the request's fields from.
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__signature__ = signature.replace(parameters=[itself, *fields])  # type: ignore[attr-defined]
    return method


def log_server_errors_only() -> None:
    """Keep tracebacks of callers' mistakes out of the log, where BentoML and the server write one for each."""
    for logger in LOGGERS:
        logging.getLogger(logger).addFilter(_is_server_error)


def _is_server_error(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    client_error = isinstance(error, BentoMLException) and error.error_code < HTTPStatus.INTERNAL_SERVER_ERROR
    disconnected = isinstance(error, RuntimeError) and CONNECTION_CLOSED in str(error)
    return not (client_error or disconnected or isinstance(error, ValidationError))
