"""How many copies of an imported model run, by CloudWatch's own count: metric ModelCopy in namespace AWS/Bedrock.

Asked through botocore, which blocks: only ever from a thread. It needs the permission cloudwatch:GetMetricData. The
count is a minute or more late, so it corrects what is believed and replaces nothing. (That the metric's dimension is
ModelId with the model's ARN, as for Bedrock's other metrics, was not verified against an AWS account.)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.exceptions
import botocore.session
import msgspec
from botocore.config import Config

from gateway.policy.schema import BackendSettings

PERIOD_SECONDS = 60
LOOK_BACK = timedelta(minutes=10)


class Counted(msgspec.Struct, frozen=True):
    """At most `copies` ran at any moment of the minute that began at `since` (wall clock, seconds since 1970)."""

    copies: int
    since: float


class CountError(Exception):
    """CloudWatch did not tell; the message says why, without secrets."""


class CopyCounter:
    """Counts the copies of one backend's models."""

    def __init__(self, backend: str, settings: BackendSettings, models: Sequence[str]) -> None:
        self._backend = backend
        self._settings = settings
        self._models = models
        self._client: Any = None

    def count(self) -> Counted | None:
        """The newest minute that every model has a count of; None: there is none. Blocks. Raises `CountError`."""
        now = datetime.now(UTC)
        try:
            if self._client is None:
                self._client = self._new_client()
            answer = self._client.get_metric_data(
                MetricDataQueries=[
                    {"Id": f"m{number}", "MetricStat": _copies_of(model)} for number, model in enumerate(self._models)
                ],
                StartTime=now - LOOK_BACK,
                EndTime=now + timedelta(seconds=PERIOD_SECONDS),
                ScanBy="TimestampDescending",
            )
        except botocore.exceptions.ClientError as error:
            code = error.response.get("Error", {}).get("Code", "an error without a name")
            raise CountError(
                f"CloudWatch refused to count the copies of {self._backend} ({code}): allow cloudwatch:GetMetricData, "
                "or set copies_from_cloudwatch: false"
            ) from None
        except botocore.exceptions.BotoCoreError as error:
            # The kind only: the text may quote what a credential process was given.
            raise CountError(
                f"CloudWatch cannot be asked for the copies of {self._backend} ({type(error).__name__})"
            ) from None
        newest = [
            (result["Timestamps"][0], result["Values"][0])
            for result in answer["MetricDataResults"]
            if result["Timestamps"] and result["Values"]
        ]
        if len(newest) < len(self._models):
            return None
        return Counted(round(sum(value for _, value in newest)), min(at for at, _ in newest).timestamp())

    def _new_client(self) -> Any:
        settings, given = self._settings, self._settings.credentials
        keys: dict[str, str | None] = {}
        if given.access_key_id is not None and given.secret_access_key is not None:
            keys = {
                "aws_access_key_id": given.access_key_id.get_secret_value(),
                "aws_secret_access_key": given.secret_access_key.get_secret_value(),
                "aws_session_token": given.session_token.get_secret_value() if given.session_token else None,
            }
        return botocore.session.Session(profile=given.profile).create_client(
            "cloudwatch",
            region_name=settings.region,
            endpoint_url=settings.cloudwatch_endpoint_url,
            config=Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2}),
            **keys,
        )


def _copies_of(model: str) -> dict[str, Any]:
    dimensions = [{"Name": "ModelId", "Value": model}]
    metric = {"Namespace": "AWS/Bedrock", "MetricName": "ModelCopy", "Dimensions": dimensions}
    return {"Metric": metric, "Period": PERIOD_SECONDS, "Stat": "Maximum"}
