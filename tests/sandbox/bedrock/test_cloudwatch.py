"""The sandbox's CloudWatch, asked by boto3."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import botocore.exceptions
import pytest

from gateway.sandbox.bedrock.server import serve_in_thread
from tests.end_to_end.fleets import IMPORTED, sandbox_settings


def cloudwatch(url: str) -> Any:
    return boto3.client(
        "cloudwatch", region_name="us-east-1", endpoint_url=url,
        aws_access_key_id="sandbox", aws_secret_access_key="sandbox",
    )  # fmt: skip


def copies(client: Any, metric: str = "ModelCopy", model: str = IMPORTED) -> list[float]:
    now = datetime.now(UTC)
    stat = {
        "Metric": {
            "Namespace": "AWS/Bedrock", "MetricName": metric, "Dimensions": [{"Name": "ModelId", "Value": model}]
        },
        "Period": 60,
        "Stat": "Maximum",
    }  # fmt: skip
    answer = client.get_metric_data(
        MetricDataQueries=[{"Id": "m0", "MetricStat": stat}], StartTime=now - timedelta(minutes=5), EndTime=now
    )
    (result,) = answer["MetricDataResults"]
    assert all(abs((at - now).total_seconds()) < 60 for at in result["Timestamps"])
    return list(result["Values"])


def test_it_counts_the_copies_of_an_imported_model() -> None:
    with serve_in_thread(sandbox_settings(cold_start_seconds=0)) as sandbox:
        client = cloudwatch(sandbox.url)
        assert copies(client) == [0.0]
        runtime = boto3.client(
            "bedrock-runtime", region_name="us-east-1", endpoint_url=sandbox.url,
            aws_access_key_id="sandbox", aws_secret_access_key="sandbox",
        )  # fmt: skip
        runtime.invoke_model(modelId=IMPORTED, body=b'{"messages":[{"role":"user","content":"hi"}],"max_tokens":2}')
        assert copies(client) == [1.0]
        assert copies(client, metric="Invocations") == []
        assert copies(client, model="meta.llama3-1-8b-instruct-v1:0") == []


def test_what_it_does_not_have_is_an_error_of_cloudwatchs_own() -> None:
    with serve_in_thread(sandbox_settings()) as sandbox, pytest.raises(botocore.exceptions.ClientError) as raised:
        cloudwatch(sandbox.url).list_metrics(Namespace="AWS/Bedrock")
    assert raised.value.response["Error"]["Code"] == "InvalidAction"
