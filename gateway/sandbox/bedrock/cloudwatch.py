"""As much of CloudWatch as tells how many copies of an imported model run: GetMetricData of AWS/Bedrock's ModelCopy, on
CloudWatch's JSON wire. The sandbox keeps no history: the one datapoint is of now."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from gateway.sandbox.bedrock.state import Sandbox

TARGET = "GraniteServiceVersion20100801."
CONTENT_TYPE = "application/x-amz-json-1.0"
Answer = tuple[int, dict[str, Any]]


def answer(sandbox: Sandbox, headers: Mapping[str, str], body: bytes) -> Answer:
    """Status and JSON. As CloudWatch, it answers an empty list for a metric that it does not have."""
    if "/monitoring/aws4_request" not in headers.get("authorization", ""):
        return _error("MissingAuthenticationToken", "The request must be signed for the service monitoring.")
    operation = headers["x-amz-target"].removeprefix(TARGET)
    if operation != "GetMetricData":
        return _error("InvalidAction", f"The sandbox has no {operation}.")
    try:
        queries = json.loads(body)["MetricDataQueries"]
        return 200, {"MetricDataResults": [_result(sandbox, query) for query in queries], "Messages": []}
    except (ValueError, KeyError, TypeError) as error:
        return _error("InvalidParameterValue", f"The request cannot be read: {error}.")


def _result(sandbox: Sandbox, query: Mapping[str, Any]) -> dict[str, Any]:
    metric = query["MetricStat"]["Metric"]
    named = {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]}
    runtime = sandbox.models.get(named.get("ModelId", ""))
    copies = None if runtime is None else runtime.report().get("copies")
    known = (metric["Namespace"], metric["MetricName"]) == ("AWS/Bedrock", "ModelCopy") and copies is not None
    return {
        "Id": query["Id"],
        "Label": metric["MetricName"],
        "Timestamps": [time.time()] if known else [],
        "Values": [float(len(copies or ()))] if known else [],
        "StatusCode": "Complete",
    }


def _error(name: str, message: str) -> Answer:
    return 400, {"__type": f"com.amazonaws.cloudwatch.v2010_08_01#{name}", "message": message}
