"""Files in S3, of a server that speaks its protocol: read, written, and what is said where that fails."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from aws_stand_in import CREDENTIALS, REGION, StandIn, moto_server, python_with_moto, standing_in
from titanic_survival import config, feedback
from titanic_survival.model import data
from titanic_survival.toolkit.analysis.log_counts import count_log
from titanic_survival.toolkit.analysis.window import Window
from titanic_survival.toolkit.batch import job, locations, parts
from titanic_survival.toolkit.batch.object_stores import ENDPOINTS
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.monitoring.prediction_ids import IdGenerator
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.version.artifact import Artifact

Score = Callable[..., job.Result]
#: Three parts of an upload, of which two are complete.
LARGE = 25_000_000


@pytest.fixture(scope="module")
def front() -> Iterator[StandIn]:
    """Return a stand-in for S3; without moto, skip the test, or fail if REQUIRE_TOOLS is set."""
    python = python_with_moto()
    if python is None:
        assert "REQUIRE_TOOLS" not in os.environ, "moto is not installed"
        pytest.skip("moto is not installed")
    with moto_server(python) as moto, standing_in(moto) as state:
        yield state


@pytest.fixture
def s3(front: StandIn, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return boto3's client of an empty S3 with the bucket "data", which AWS_ENDPOINT_URL names."""
    front.reset()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": front.url}).items():
        monkeypatch.setenv(name, value)
    client = front.client("s3")
    client.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


@pytest.fixture
def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return rows, of which the last is invalid."""
    frame = pd.DataFrame(rows).astype({"sex": object})
    frame.loc[len(rows) - 1, "sex"] = "robot"
    return pa.Table.from_pandas(frame, preserve_index=False)


def keys(s3: Any, prefix: str = "") -> list[str]:
    """Return the keys, without the empty objects that stand for folders."""
    found = s3.list_objects_v2(Bucket="data", Prefix=prefix).get("Contents", [])
    return [item["Key"] for item in found if not item["Key"].endswith("/")]


def put(s3: Any, key: str, table: pa.Table, folder: Path) -> None:
    """Put a table into S3, in the format of the key."""
    path = folder / key.replace("/", "-")
    if key.endswith(".parquet"):
        pa.parquet.write_table(table, path)
    else:
        compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
        with pa.output_stream(str(path), compression=compression) as stream:
            pa.csv.write_csv(table, stream)
    s3.upload_file(str(path), "data", key)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv.gz", "a b+é%20#?.csv"])
def test_file_in_s3_is_scored_as_a_local_one(
    s3: Any, score_files: Score, version: Artifact, table: pa.Table, tmp_path: Path, name: str
) -> None:
    put(s3, f"in/{name}", table, tmp_path)
    result = score_files(version, 3, f"s3://data/in/{name}", "s3://data/out/scores.parquet")
    assert result.counts[:2] == (table.num_rows, 1)
    assert sorted(keys(s3, "out/")) == ["out/scores.parquet", "out/scores.rejects.csv"]
    s3.download_file("data", "out/scores.parquet", str(tmp_path / "scores.parquet"))
    label = version.contract.label.name
    local = tmp_path / "local.parquet"
    score_files(version, 3, tmp_path / f"in-{name}", local)
    assert pd.read_parquet(tmp_path / "scores.parquet")[label].equals(pd.read_parquet(local)[label])


def test_folder_and_pattern_in_s3(
    s3: Any, score_files: Score, version: Artifact, table: pa.Table, tmp_path: Path
) -> None:
    for name in ("a.csv", "deep/b.csv.zst", "deep/c.parquet", "_ignored/d.csv"):
        put(s3, f"in/{name}", table, tmp_path)
    assert score_files(version, 3, "s3://data/in", "s3://data/out/").counts.rows == 3 * table.num_rows
    assert {"out/a.csv", "out/deep/b.csv.zst", "out/deep/c.parquet", "out/_SUCCESS"} <= set(keys(s3, "out/"))
    resumed = score_files(version, 3, "s3://data/in/", "s3://data/out/", resume=True)
    assert resumed.resumed == 3 and resumed.counts.rows == 3 * table.num_rows
    result = score_files(version, 3, "s3://data/in/*/*.csv*", tmp_path / "local")
    assert result.counts.rows == table.num_rows and (tmp_path / "local/deep/b.csv.zst").exists()
    with pytest.raises(UserError, match=r"s3://data/in/\*\.parquet: no file that matches it"):
        score_files(version, 3, "s3://data/in/*.parquet", tmp_path / "local2")


@pytest.mark.parametrize("variable", [*ENDPOINTS, "profile"])
def test_endpoint_is_set_once(
    s3: Any, front: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    s3.put_object(Bucket="data", Key="a.csv", Body=b"a\n")
    if variable == "profile":
        (tmp_path / "config").write_text(f"[profile store]\nendpoint_url = {front.url}\nregion = {REGION}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_PROFILE", "store")
    else:
        monkeypatch.setenv(variable, front.url)
    assert locations.locate("s3://data/a.csv").read_bytes() == b"a\n"


def fail_part(front: StandIn, monkeypatch: pytest.MonkeyPatch, key: str, number: int, then: Callable[[], None]) -> None:
    """Have the upload of a part fail, and all after it."""
    handle, seen = front.handle, []

    def counting(operation: str, body: bytes) -> tuple[int, bytes] | None:
        if operation == f"PUT {key}":
            seen.append(operation)
            if len(seen) >= number:
                then()
                return 403, b""
        return handle(operation, body)

    monkeypatch.setattr(front, "handle", counting)


def test_upload_that_fails_in_the_middle_leaves_the_object_before(
    s3: Any, front: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put_object(Bucket="data", Key="out.csv", Body=b"before")
    with monkeypatch.context() as patch:
        fail_part(front, patch, "/data/out.csv", 2, lambda: None)
        with pytest.raises(UserError, match=r"s3://data/out.csv: access denied \(UploadPart\)\. Check the credentials"):
            locations.locate("s3://data/out.csv").write_bytes(bytes(LARGE))
    assert s3.get_object(Bucket="data", Key="out.csv")["Body"].read() == b"before"
    locations.locate("s3://data/out.csv").write_bytes(bytes(LARGE))
    assert s3.head_object(Bucket="data", Key="out.csv")["ContentLength"] == LARGE


def test_interrupt_during_an_upload_leaves_no_half_object(
    s3: Any, front: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the process ends by itself: Arrow's S3 client must not hang at the exit."""
    s3.put_object(Bucket="data", Key="out.csv", Body=b"before")
    under_way = threading.Event()
    handle = front.handle

    def slow(operation: str, body: bytes) -> tuple[int, bytes] | None:
        if operation == "PUT /data/out.csv":
            under_way.set()
            time.sleep(0.5)
        return handle(operation, body)

    monkeypatch.setattr(front, "handle", slow)
    # Where the tests run in the background of a shell, children ignore the signal.
    catch = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    write = f"locate('s3://data/out.csv').write_bytes(bytes({LARGE}))"
    script = f"{catch}from titanic_survival.toolkit.batch.locations import locate\n{write}"
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) as process:
        assert under_way.wait(60)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "KeyboardInterrupt" in process.stderr.read()
        assert process.wait(30) == -signal.SIGINT
    assert s3.head_object(Bucket="data", Key="out.csv")["ContentLength"] in (LARGE, len(b"before"))


def test_output_that_cannot_be_written_is_said_before_rows_are_scored(
    s3: Any, front: StandIn, score_files: Score, version: Artifact, table: pa.Table, tmp_path: Path
) -> None:
    put(s3, "rows.csv", table, tmp_path)
    told: list[int] = []
    with pytest.raises(UserError, match=r"s3://nowhere/out\.csv: there is no such bucket\. Make it first"):
        score_files(
            version, 3, "s3://data/rows.csv", "s3://nowhere/out.csv", progress=lambda rows, share: told.append(rows)
        )
    front.fail("POST /data/.out.csv.probe", "AccessDenied", "no", status=403)
    with pytest.raises(UserError, match=r"access denied \(CreateMultipartUpload\).*s3:PutObject"):
        score_files(
            version, 3, "s3://data/rows.csv", "s3://data/out.csv", progress=lambda rows, share: told.append(rows)
        )
    assert not told and keys(s3) == ["rows.csv"]


def test_file_that_vanishes_after_it_was_listed(s3: Any, table: pa.Table, tmp_path: Path) -> None:
    put(s3, "rows.parquet", table, tmp_path)
    (part,) = parts.plan("s3://data/rows.parquet")
    s3.delete_object(Bucket="data", Key="rows.parquet")
    with pytest.raises(UserError, match=r"s3://data/rows\.parquet cannot be read.*does not exist"), part.open():
        pass


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://nowhere/rows.csv", "s3://nowhere/rows.csv: there is no such file or folder"),
        ("s3://nowhere/*.csv", "s3://nowhere: there is no such bucket"),
        ("s3://", "s3:// names no bucket"),
        ("s3://key:s3cret@data/rows.csv", r"credentials do not belong into an address"),
        ("gopher://data/rows.csv", "gopher://data/rows.csv: Unrecognized filesystem type"),
    ],
)
def test_address_that_cannot_be_read(s3: Any, address: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        parts.plan(address)
    assert "s3cret" not in str(raised.value)


def test_server_that_is_away_is_said_soon(monkeypatch: pytest.MonkeyPatch, s3: Any) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    start = time.monotonic()
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:1 does not answer.*Check AWS_ENDPOINT_URL"):
        parts.plan("s3://data/rows.csv")
    assert time.monotonic() - start < 10


def test_wrong_credentials_are_said(s3: Any, front: StandIn) -> None:
    front.fail("HEAD /data/rows.csv", "SignatureDoesNotMatch", "no", status=403)
    with pytest.raises(UserError, match=r"access denied \(HeadObject\).*AWS_ACCESS_KEY_ID"):
        parts.plan("s3://data/rows.csv")


def test_prediction_log_is_read(
    s3: Any, version: Artifact, write_log: Callable[..., Any], write_labels: Callable[..., None], tmp_path: Path
) -> None:
    columns = dataframes.check_features(data.load().head(50), version.contract).columns
    logged = write_log(tmp_path / "pod", version, columns)
    write_labels(tmp_path, "survived", logged.ids[:20], [True] * 20)
    for file in tmp_path.rglob("*.jsonl"):
        s3.upload_file(str(file), "data", f"log/{file.relative_to(tmp_path)}")
    found = count_log(locations.locate("s3://data/log"), Window.of(datetime.now(UTC), 1), lambda number: version.folder)
    rows = found.versions[1].labelled_rows()
    assert rows is not None
    assert (found.versions[1].rows.total(), found.problems.notes(), len(rows.numbers)) == (50, [], 20)


def test_labels_in_s3_join_the_log_there_and_are_written_beside_it(
    s3: Any, trained: config.Settings, tmp_path: Path
) -> None:
    label = Store(trained.store).load(1).contract.label
    ids = IdGenerator(trained.model_name, 1, label).make({label.name: np.zeros(4)})
    block = {"version": 1, "shadow": False, "time": ["2026-01-10T00:00:00"] * 4, "id": ids, "keys": ["a", "b"]}
    block |= {"key": [0, 1, 0, 1], "inputs": {}, "outputs": {label.name: [False] * 4}}
    s3.put_object(Bucket="data", Key="log/pod-1/predictions-1.jsonl", Body=json.dumps(block).encode() + b"\n")
    put(s3, "labels/new.csv.gz", pa.table({"key": ["a", "c", "a"], label.name: [True, False, None]}), tmp_path)
    given = {"source": "s3://data/labels/", "key": "key", "log": "s3://data/log"}
    for _ in range(2):  # the second time, there is nothing new
        feedback.run(trained.model_copy(update={"log_folder": tmp_path / "log"}), **given)
        (name,) = keys(s3, "log/feedback")
    lines = s3.get_object(Bucket="data", Key=name)["Body"].read().splitlines()
    assert [(json.loads(line)["id"], json.loads(line)[label.name]) for line in lines] == [
        (ids[0], True),
        (ids[2], True),
    ]
    put(s3, "labels/wrong.csv", pa.table({"key": ["b"], label.name: ["maybe"]}), tmp_path)
    feedback.run(trained, **given)
    assert keys(s3, "log/labels") == ["log/labels.rejects.csv"]
    assert not (tmp_path / "log").exists()
