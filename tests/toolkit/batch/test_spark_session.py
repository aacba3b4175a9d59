"""What keeps Spark from starting is said in one sentence, with the cure."""

import socket
from pathlib import Path

import pytest
from titanic_survival.toolkit.batch.spark import session as spark_session
from titanic_survival.toolkit.common.errors import UserError

pytest.importorskip("pyspark")


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the program that is the only `java`; it does not exist yet."""
    for name in ("JAVA_HOME", "HADOOP_CONF_DIR", "YARN_CONF_DIR", "DEBUG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/sbin")
    return tmp_path / "bin/java"


def install(java: Path, version: str) -> None:
    """Make `java` a program that says its version and then fails, as Java does without enough memory."""
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\necho 'Error: no memory' >&2\nexit 1\n")
    java.chmod(0o755)


def reason(master: str) -> str:
    """Return why no session starts on a master."""
    with pytest.raises(UserError) as caught, spark_session.spark_session(master, "test"):
        pass
    return str(caught.value)


def test_without_java_the_error_says_how_to_install_it(java: Path) -> None:
    assert "needs Java 17 or newer, and no program java is on PATH. Debian and Ubuntu: apt-get install" in reason(
        "local"
    )


def test_wrong_java_home_is_named(java: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(java, "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(java.parent))
    assert f"JAVA_HOME is {java.parent}, which has no bin/java" in reason("local[2]")


@pytest.mark.parametrize(("version", "number"), [("1.8.0_392", "8"), ("11.0.20", "11"), ("16", "16")])
def test_old_java_is_named(java: Path, version: str, number: str) -> None:
    install(java, version)
    assert f"{java} is Java {number}" in reason("local[*]")


@pytest.mark.parametrize("master", ["mesos://host:5050", "localhost:7077", "local[x]", "spark://", ""])
def test_master_of_another_kind_is_an_error_that_lists_the_kinds(java: Path, master: str) -> None:
    assert f"SPARK_MASTER={master} is no master of Spark. There are: local[*]" in reason(master)


@pytest.mark.parametrize("form", ["spark://127.0.0.1:{}", "k8s://https://127.0.0.1:{}", "k8s://127.0.0.1:{}"])
def test_master_that_is_away_is_named_with_the_reason(java: Path, form: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        master = form.format(unused.getsockname()[1])
        assert reason(master).startswith(f"SPARK_MASTER={master}: nothing answers there (")
        assert "Connection refused" in reason(master)


def test_yarn_needs_the_folder_of_its_configuration(java: Path) -> None:
    assert "HADOOP_CONF_DIR" in reason("yarn")


def test_what_java_ends_with_is_the_reason(java: Path) -> None:
    install(java, "17.0.1")
    java.with_name("bash").symlink_to("/bin/bash")
    for tool in ("dirname", "env", "cat", "sed", "head", "uname", "grep", "ls"):
        java.with_name(tool).symlink_to(Path("/usr/bin") / tool)
    assert "Spark does not start with SPARK_MASTER=local: Error: no memory. DEBUG=1 shows its log." in reason("local")
