"""A session of Spark: what is checked before it starts, how it starts, and why it does not."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...common.errors import UserError

if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

#: The oldest Java that Spark 4 runs on.
JAVA = 17
INSTALL_JAVA = "Debian and Ubuntu: apt-get install default-jre-headless; macOS: brew install openjdk@21"
MASTERS = "local[*] (the cores of this machine), spark://host:7077, yarn, or k8s://https://host:6443"
LOCAL = re.compile(r"local(\[(?P<cores>\d+|\*)(, *(?P<attempts>\d+))?\])?")
#: How often a part is tried before the job fails: the default of clusters, while a local master tries once.
ATTEMPTS = 4
CONNECT_SECONDS = 10
HADOOP_SETTINGS = ("HADOOP_CONF_DIR", "YARN_CONF_DIR")


@contextmanager
def spark_session(master: str, name: str) -> Iterator[SparkSession]:
    """Start a session on a master and stop it at the end; a session that is active already is used, and stays.

    `UserError` if there is no suitable Java, if the master is none or does not answer, or if Spark does not start.
    """
    with warnings.catch_warnings():
        # Of pandas 3, which Spark does not know yet and which nothing here hands to it.
        warnings.simplefilter("ignore", FutureWarning)
        from pyspark.sql import SparkSession

        active = SparkSession.getActiveSession()
        session = active or _start(master, name)
        try:
            yield session
        finally:
            if not active:
                session.stop()


def _start(master: str, name: str) -> SparkSession:
    from py4j.protocol import Py4JError
    from pyspark import SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    _check_master(master)
    _check_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    debug = bool(os.environ.get("DEBUG"))
    # Java writes dozens of lines there that are nobody's concern unless it fails.
    with tempfile.TemporaryFile("w+") as log:
        try:
            conf = _conf(master, name)
            gateway = launch_gateway(conf, {} if debug else {"stdout": log, "stderr": log})
            return SparkSession(SparkContext(conf=conf, gateway=gateway))
        except (PySparkException, Py4JError) as error:
            reason = _reason(log, error)
            raise UserError(
                f"Spark does not start with SPARK_MASTER={master}: {reason} DEBUG=1 shows its log."
            ) from error


def _conf(master: str, name: str) -> SparkConf:
    """Return what must be so; all else is Spark's own configuration, such as spark-defaults.conf in SPARK_CONF_DIR."""
    from pyspark import SparkConf

    conf = SparkConf().setAppName(name).set("spark.ui.showConsoleProgress", "false")
    local = LOCAL.fullmatch(master)
    if not local:
        return conf.setMaster(master)
    # The name of this machine may lead to an address that it does not have, and nobody else needs to reach it.
    for key in ("spark.driver.host", "spark.driver.bindAddress"):
        conf.set(key, "127.0.0.1")
    conf.set("spark.ui.enabled", "false")
    return conf.setMaster(f"local[{local['cores'] or 1},{local['attempts'] or ATTEMPTS}]")


def _reason(log: IO[str], error: Exception) -> str:
    """Return why Spark did not start: the message of an exception of Java's, or the first line that Java ended with."""
    cause: Any = getattr(error, "java_exception", None)
    log.seek(0)
    lines = (line.strip() for line in log)
    said = (line for line in lines if re.search(r"error|exception|invalid|too small", line, re.IGNORECASE))
    text = str(cause.getMessage() or cause) if cause is not None else next(said, str(error))
    return f"{text.splitlines()[0].rstrip('.')}."


def _check_master(master: str) -> None:
    """Check the master's address, and whether something answers there: Spark itself tries for a minute."""
    if master == "yarn":
        if not any(os.environ.get(name) for name in HADOOP_SETTINGS):
            raise UserError(
                f"SPARK_MASTER=yarn: Spark finds the cluster by its configuration, whose folder {HADOOP_SETTINGS[0]} "
                "names, and which is not set."
            )
        return
    if LOCAL.fullmatch(master):
        return
    scheme, _, rest = master.partition("://")
    if scheme not in ("spark", "k8s") or not rest:
        raise UserError(f"SPARK_MASTER={master} is no master of Spark. There are: {MASTERS}.")
    reasons = []
    for address in rest.split(",") if scheme == "spark" else [rest]:
        try:
            url = urlsplit(address if "://" in address else f"{'spark' if scheme == 'spark' else 'https'}://{address}")
            port = url.port or (7077 if scheme == "spark" else 443)
            with socket.create_connection((url.hostname or "", port), timeout=CONNECT_SECONDS):
                return
        except (OSError, ValueError) as error:
            reasons.append(f"{address}: {getattr(error, 'strerror', None) or error}")
    raise UserError(
        f"SPARK_MASTER={master}: nothing answers there ({'; '.join(reasons)}). Start the cluster, or correct "
        "the address."
    )


def _check_java() -> None:
    """Check that the Java that Spark will start is there and not too old."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(Path(home) / "bin" / "java" if home else "java")
    if java is None:
        found = f"JAVA_HOME is {home}, which has no bin/java" if home else "no program java is on PATH"
        raise UserError(f"ENGINE=spark needs Java {JAVA} or newer, and {found}. {INSTALL_JAVA}; or set JAVA_HOME.")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < JAVA:
        found = f"{java} is Java {version[1]}" if version else f"{java} does not tell its version"
        raise UserError(f"ENGINE=spark needs Java {JAVA} or newer, and {found}. {INSTALL_JAVA}; or set JAVA_HOME.")
