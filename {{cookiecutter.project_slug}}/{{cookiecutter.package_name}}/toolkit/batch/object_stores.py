"""Object stores: S3 and what is compatible with it, by Arrow's file system; others as Arrow itself finds them.

Credentials are found as AWS' own tools find them: variables, profiles, roles of a machine or pod.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.fs

from ..common.errors import UserError
from ..common.redaction import redact

S3 = "s3://"
#: The variables that name another server than AWS, the first that is set counts. boto3 and MLflow read them too.
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")
CONNECT_SECONDS, SILENT_SECONDS = 5, 10
#: Bytes that are uploaded at a time.
CHUNK_BYTES = 16_000_000
REASON = re.compile(r"AWS Error ([A-Z_]+)(?: \(HTTP status (\d+)\))? during (\w+) operation:\s*(.*)", re.DOTALL)
CREDENTIALS = {"ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "INVALID_CLIENT_TOKEN_ID"}
CREDENTIALS |= {"EXPIRED_TOKEN", "MISSING_AUTHENTICATION_TOKEN", "INVALID_SIGNATURE", "UNRECOGNIZED_CLIENT"}


def open_store(address: str) -> tuple[pa.fs.FileSystem, str]:
    """Return the file system of an address, and the path in it; `UserError` for an address that is none."""
    if not address.startswith(S3):
        try:
            return pa.fs.FileSystem.from_uri(address)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{address}: {str(error).splitlines()[0]}") from error
    path = address.removeprefix(S3).rstrip("/")
    bucket = path.partition("/")[0]
    if not bucket:
        raise UserError(f"{address} names no bucket. For example: s3://bucket/folder/rows.parquet")
    if "@" in bucket:
        raise UserError(
            f"{redact(address)}: credentials do not belong into an address; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
        )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _profile("region")
    user = tuple(os.environ.get(name, "") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"))
    with explain_errors(address):
        return _s3(endpoint(), region, os.environ.get("AWS_CA_BUNDLE", ""), bucket, user), path


def endpoint() -> str:
    """Return the address of the S3 server; "" if it is AWS."""
    return next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "") or _profile("endpoint_url")


def _profile(name: str) -> str:
    """Return what the profile in use sets in ~/.aws/config, where Arrow reads no endpoint."""
    config = configparser.ConfigParser(interpolation=None)
    with suppress(configparser.Error, UnicodeDecodeError):
        config.read(os.environ.get("AWS_CONFIG_FILE", str(Path.home() / ".aws" / "config")))
    profile = os.environ.get("AWS_PROFILE", "default")
    section = profile if profile == "default" else f"profile {profile}"
    return config.get(section, name, fallback="")


@lru_cache
def _s3(endpoint: str, region: str, ca: str, bucket: str, user: tuple[str, ...]) -> pa.fs.S3FileSystem:
    """Return the file system of a bucket; `user` only tells apart those of different credentials."""
    if not region and not endpoint:
        with suppress(OSError, pa.ArrowException):
            region = pa.fs.resolve_s3_region(bucket)
    return pa.fs.S3FileSystem(
        endpoint_override=endpoint or None,
        region=region or None,
        tls_ca_file_path=ca or None,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=SILENT_SECONDS,
        retry_strategy=pa.fs.AwsStandardS3RetryStrategy(max_attempts=3),
    )


def upload(file: Path, filesystem: pa.fs.FileSystem, path: str, address: str) -> None:
    """Upload a complete file; the object appears when all of it is there, and one that was there stays until then.

    An interrupt waits for the end of the upload: Arrow completes an upload that is left in the middle.
    """
    with explain_errors(address), ThreadPoolExecutor(1, "upload") as pool:
        pool.submit(_upload, file, filesystem, path).result()
    size, found = file.stat().st_size, filesystem.get_file_info(path).size
    if found != size:
        raise UserError(
            f"{address} has {found} bytes after the upload of {size}. Does another job write there? Run again."
        )


def _upload(file: Path, filesystem: pa.fs.FileSystem, path: str) -> None:
    with file.open("rb") as content:
        stream = filesystem.open_output_stream(path, compression=None)  # by default the name decides
        try:
            while chunk := content.read(CHUNK_BYTES):
                stream.write(chunk)
                # Raises what failed in the background, after which `close` completes nothing; and the whole file would
                # wait in memory else.
                stream.flush()
        except BaseException:
            with suppress(OSError):
                stream.close()
            raise
        stream.close()


@contextmanager
def explain_errors(address: str) -> Iterator[None]:
    """Turn an error of an object store into a `UserError`, with what to do; one of this machine's disks passes."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{address}: there is no such file; was it removed meanwhile?") from error
    except (OSError, pa.ArrowException) as error:
        if getattr(error, "errno", None):
            raise
        raise UserError(f"{address}: {describe(error)}") from error


def describe(error: BaseException) -> str:
    """Return what an error of an object store means, and what to do."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    found = REASON.search(text)
    if found is None:
        return text
    code, status, operation, reason = found.groups()
    reason = re.sub(r" \(Request ID: .*|; Details: .*", "", reason).rstrip(". ")
    if code == "NO_SUCH_BUCKET":
        return "there is no such bucket. Make it first, or choose another one."
    if code == "NETWORK_CONNECTION":
        where = endpoint() or "AWS"
        return f"{where} does not answer ({reason}). Check {ENDPOINTS[1]}, and whether this machine reaches it."
    if code in CREDENTIALS or status in ("401", "403"):
        return (
            f"access denied ({operation}). Check the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_PROFILE), and that they have s3:ListBucket, s3:GetObject and, for OUTPUT, s3:PutObject and "
            "s3:DeleteObject."
        )
    if status == "301" or "REDIRECT" in code:
        return "the bucket is in another region. Set AWS_REGION to that."
    return f"{reason} ({code}{f', {status}' if status else ''}, {operation})."
