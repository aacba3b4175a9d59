"""Reject answers that cannot make a working project: all of them at once, each with a suggestion."""

from __future__ import annotations

import json
import keyword
import re
import sys
import unicodedata
from collections.abc import Callable
from urllib.parse import urlsplit

# Answers are data: JSON in a raw string stays what was typed, whatever was typed.
ANSWERS = r"""{{ cookiecutter | jsonify }}"""

SLUG_LENGTH, MODEL_NAME_LENGTH = 40, 60

#: Files and folders of a project, now or later.
FOLDERS = frozenset(
    """
    build conftest data days deploy dist docs env log mlartifacts mlruns monitoring report requirements scores setup
    store tests tokens venv
    """.split()
)

#: Distributions of the project's environment (with "_" for "-" and "."), and the packages that they install.
LIBRARIES = frozenset(
    """
    a2wsgi adbc_driver_manager adbc_driver_postgresql aiohappyeyeballs aiohttp aiohttp_asgi_connector aiokafka
    aiosignal aiosqlite alembic annotated_doc annotated_types anyio arrow asgiref asn1crypto ast_serialize
    async_timeout attr attrs awslambdaric azure azure_core azure_identity azure_storage_blob bentoml bentoml_cli
    binaryornot blake3 blinker boolean boolean_py boto3 botocore cachetools cattr cattrs certifi cffi cfgv
    charset_normalizer circus click click_option_group cloudpickle colorama colorlog contourpy cookiecutter cramjam
    cruft cryptography cycler cyclonedx cyclonedx_python_lib databricks databricks_sdk dateutil defusedxml distlib
    dns dnspython docker dotenv email_validator example fastapi filelock flask flask_cors flask_wtf flatbuffers
    fonttools fqdn frozenlist fsspec git gitdb gitpython google google_api_core google_auth google_cloud_core
    google_cloud_storage google_crc32c google_resumable_media googleapis_common_protos graphene graphql graphql_core
    graphql_relay gunicorn h11 httpcore httptools httpx httpx_ws huey id identify idna images importlib_metadata
    in_toto_attestation iniconfig isodate isoduration itsdangerous jinja2 jmespath joblib jsonpointer jsonschema
    jsonschema_specifications jwt kantoku kiwisolver lark librt license_expression mako mangum markdown_it
    markdown_it_py markupsafe matplotlib mdurl ml_dtypes mlflow mlflow_skinny mlflow_tracing model_signing
    mpl_toolkits msal msal_extensions multidict multipart mypy mypy_extensions mypyc narwhals nodeenv numpy
    nvidia_ml_py onnx onnxmltools onnxruntime opentelemetry opentelemetry_api opentelemetry_instrumentation
    opentelemetry_instrumentation_aiohttp_client opentelemetry_instrumentation_asgi opentelemetry_proto
    opentelemetry_sdk opentelemetry_semantic_conventions opentelemetry_util_http optuna orjson packageurl
    packageurl_python packaging packaging_legacy_version pandas pandas_stubs pathspec pillow pip
    pip_requirements_parser platformdirs pluggy pre_commit prettytable prometheus_client propcache proto proto_plus
    protobuf psutil psycopg2 psycopg2_binary py py4j py_serializable pyarrow pyasn1 pyasn1_modules pycparser
    pydantic pydantic_core pydantic_settings pygments pyjwt pylab pynvml pyopenssl pyparsing pyspark pytest
    python_dateutil python_discovery python_dotenv python_json_logger python_multipart python_slugify
    pythonjsonlogger pywin32 pyyaml pyzmq referencing rekor_types requests rfc3161_client rfc3339_validator
    rfc3986_validator rfc3987_syntax rfc8785 rich rich_toolkit rpds rpds_py ruff runtime_client s3transfer schema
    scikit_learn scipy securesystemslib setuptools shellingham sigstore sigstore_models sigstore_rekor_types
    simple_di simplejson six skl2onnx sklearn skops slugify smmap snapshot_restore_py sortedcontainers sqlalchemy
    sqlparse starlette text_unidecode threadpoolctl tomli_w tornado tqdm tuf typer types_psutil types_requests
    typing_extensions typing_inspection tzdata uri_template urllib3 uv uvicorn uvloop virtualenv waitress watchfiles
    wcwidth webcolors werkzeug wrapt wsproto wtforms yaml yarl zipp zmq
    """.split()
)


def problems(answers: dict[str, object]) -> list[str]:
    """Return one sentence for each invalid answer."""
    checks: dict[str, Callable[[str], str]] = {
        "project_name": _words("write what the project is called, e.g. 'Titanic survival'"),
        "description": _words("write what the model predicts, e.g. 'Who survives the Titanic.'"),
        "author": _words("write which person or team is responsible, e.g. 'Data Science'"),
        "project_slug": _slug,
        "package_name": _package,
        "model_name": _model,
        "mlflow_tracking_uri": _tracking_uri,
    }
    found = []
    for name, check in checks.items():
        text = str(answers.get(name, ""))
        if problem := check(text):
            # A password in an address must not be printed, perhaps into a log.
            found.append(f"{name} {re.sub('//[^/]*@', '//***@', text)!r}: {problem}")
    return found


def _words(advice: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        # Surrogates, from a terminal that is not set to UTF-8, cannot be written to a file.
        if re.search("[\ud800-\udfff]", text):
            return f"is not UTF-8; {advice}"
        return "" if text.strip() else f"must not be empty; {advice}"

    return check


def _slug(text: str) -> str:
    advice = f"e.g. {_identifier(text, '-', SLUG_LENGTH)!r}"
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", text):
        return f"use a-z, 0-9 and single '-' between them, starting with a letter, {advice}"
    if len(text) > SLUG_LENGTH:
        return f"has {len(text)} characters; Kubernetes and image names allow {SLUG_LENGTH}, {advice}"
    if text.replace("-", "_") in LIBRARIES:
        return f"is the name of a library that the project installs; choose another name, {advice}"
    return ""


def _package(text: str) -> str:
    advice = f"e.g. {_identifier(text, '_', 80)!r}"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
        return f"use a-z, 0-9 and '_', starting with a letter, {advice}"
    taken = _taken(text)
    return f"is {taken}; choose another name, {advice}" if taken else ""


def _taken(name: str) -> str:
    """Return what this package name would collide with, or ""."""
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "a keyword of Python"
    if name in sys.stdlib_module_names:
        return "a module of Python's standard library"
    if name in LIBRARIES:
        return "a library that the project needs"
    return "the name of a folder or module of the project" if name in FOLDERS else ""


def _model(text: str) -> str:
    # The name is part of URLs and in MLflow's models:/name@alias.
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]*", text) and len(text) <= MODEL_NAME_LENGTH:
        return ""
    advice = f"e.g. {_identifier(text, '-', MODEL_NAME_LENGTH, keep='._')!r}"
    return f"use at most {MODEL_NAME_LENGTH} of a-z, 0-9, '.', '_' and '-', starting with a letter or digit, {advice}"


def _tracking_uri(text: str) -> str:
    scheme, colon, rest = text.partition(":")
    if not text or re.fullmatch(r"databricks(://[\w.-]+)?", text, re.ASCII):
        return ""
    if re.search(r"""[^!-~]|["'`\\<>{}|^]""", text):
        return "must have no spaces, quotes, backslashes, braces or accents; encode them (a space is %20)"
    if scheme == "file" or (not colon and text[0] in "./~"):
        folder = re.sub("^/*", "/", rest) if colon else text if text[0] == "/" else "/path/to/mlruns"
        return f"MLflow no longer keeps runs in folders; use a database, e.g. 'sqlite:///{folder}/mlflow.db'"
    if scheme == "sqlite":
        return "" if re.match("///.", rest) else "must name the database's file, e.g. 'sqlite:////path/to/mlflow.db'"
    if not rest.startswith("//"):
        server = re.sub("^(https?:)?/*", "", text)
        return f"must begin with http:// or https:// (or be a database's address), e.g. {'http://' + server!r}"
    if scheme in ("http", "https"):
        return _server(text)
    if scheme.lower() in ("http", "https"):
        return f"must begin in lower case, e.g. {scheme.lower() + colon + rest!r}"
    return _database(scheme, rest)


def _database(scheme: str, rest: str) -> str:
    if not re.fullmatch(r"(postgresql|mysql|mssql)(\+[a-z0-9_]+)?", scheme):
        return f"MLflow does not support {scheme}://; use http, https, sqlite, postgresql, mysql, mssql or databricks"
    if re.match("//[^/@]*:[^/@]*@", rest):
        return "contains a password, which git would keep; leave the answer empty and set MLFLOW_TRACKING_URI in .env"
    return "" if rest.strip("/") else f"names no database, e.g. '{scheme}://host/database'"


def _server(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"is not a valid address ({error}); use e.g. 'https://mlflow.example.com'"
    if "@" in parts.netloc:
        clean = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return (
            f"contains credentials, which would be committed to git; use {clean!r} and set them in .env as "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    return "" if host else f"names no host; use e.g. '{parts.scheme}://mlflow.example.com'"


def _identifier(text: str, joint: str, length: int, keep: str = "") -> str:
    """Return the nearest usable name: a-z, 0-9 and `joint` (and what to `keep`), not taken by anything."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    name = re.sub(f"[^a-z0-9{re.escape(keep)}]+", joint, plain).strip(f"{joint}{keep}")
    if not name[:1].isalpha():
        name = f"model{joint}{name}" if name else f"my{joint}model"
    name = name[:length].strip(f"{joint}{keep}")
    return f"{name}{joint}model" if _taken(name.replace("-", "_")) else name


def main() -> int:
    """Check the answers of this generation, and return the exit code."""
    found = problems(json.loads(ANSWERS))
    if found:
        print("These answers are invalid:", *(f"  {problem}" for problem in found), sep="\n", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
