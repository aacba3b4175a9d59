"""`make predict` on S3 and on PostgreSQL, as its owner calls it."""

from pathlib import Path

import pytest
from aws_stand_in import CREDENTIALS, moto_server
from postgresql_server import PASSWORD, USER, postgresql_server, programs_or_skip

from .conftest import Project

pytestmark = pytest.mark.slow


def test_predict_on_s3(trained: Project, tmp_path: Path) -> None:
    with moto_server() as url:
        env = CREDENTIALS | {"AWS_ENDPOINT_URL": url}
        s3 = "import boto3; s3 = boto3.client('s3')\n"
        place = f"dict(LocationConstraint='{CREDENTIALS['AWS_REGION']}')"
        trained.python(
            f"{s3}s3.create_bucket(Bucket='sales', CreateBucketConfiguration={place})\n"
            "s3.upload_file('data/titanic.csv', 'sales', 'in/titanic.csv'); print(1)",
            **env,
        )
        said = trained.make("predict", "INPUT=s3://sales/in/*.csv", "OUTPUT=s3://sales/scores.csv.gz", **env)
        assert "Predictions: s3://sales/scores.csv.gz" in said
        script = (
            f"import gzip\n{s3}found = s3.get_object(Bucket='sales', Key='scores.csv.gz')['Body'].read()\n"
            "print(gzip.decompress(found).count(b'\\n'))"
        )
        lines = len((trained.path / "data/titanic.csv").read_text().splitlines())
        assert trained.python(script, **env) == lines
        said = trained.make("predict", "INPUT=s3://sales/no.csv", f"OUTPUT={tmp_path}/a.csv", ok=False, **env)
        assert "s3://sales/no.csv: there is no such file or folder" in said


def test_predict_on_postgresql(trained: Project, tmp_path: Path) -> None:
    with postgresql_server(programs_or_skip()) as server:
        address, env = f"postgresql://{USER}@{server.host}/postgres", {"PGPASSWORD": PASSWORD}
        output, back = (f"OUTPUT={address}", "TABLE=scores"), str(tmp_path / "back.csv")
        trained.make("predict", "INPUT=data/titanic.csv", *output, **env)
        query = """QUERY=select * from "scores" where name like '%O''%' or sex in ('male') -- "quoted" `words`"""
        trained.make("predict", f"INPUT={address}", query, f"OUTPUT={back}", **env)
        males = (trained.path / "data/titanic.csv").read_text().count(",male,")
        assert len(Path(back).read_text().splitlines()) > males > 0
        (tmp_path / "wrong.sql").write_text("select *\nfrom nowhere")
        wrong = f"QUERY=@{tmp_path}/wrong.sql"
        said = trained.make("predict", f"INPUT={address}", wrong, f"OUTPUT={back}", ok=False, **env)
        assert 'QUERY, line 2, column 6: relation "nowhere" does not exist.' in said
