"""Credentials come from botocore's sources, are refreshed in time, and the loop never waits for a source."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from gateway.backends.bedrock import credentials
from gateway.backends.bedrock.credentials import CredentialKeeper
from gateway.backends.errors import UpstreamError
from gateway.policy.schema import BedrockCredentials

# A profile whose `credential_process` counts its calls in a file and gives keys that last as long as another file says.
PROCESS = """
import datetime, json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
count = folder / "count"
calls = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(calls))
if (folder / "broken").exists():
    sys.exit("SECRET-IN-STDERR")
seconds = float((folder / "seconds").read_text())
ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
print(json.dumps({"Version": 1, "AccessKeyId": f"key-{calls}", "SecretAccessKey": "hush",
                  "SessionToken": "token", "Expiration": ends.isoformat()}))
"""


class Source:
    """A credential process that this test controls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        script = folder / "process.py"
        script.write_text(textwrap.dedent(PROCESS))
        (folder / "config").write_text(f"[profile lab]\ncredential_process = {sys.executable} {script} {folder}\n")
        self.lasts(3600)

    def lasts(self, seconds: float) -> None:
        (self.folder / "seconds").write_text(str(seconds))

    def breaks(self) -> None:
        (self.folder / "broken").touch()

    @property
    def calls(self) -> int:
        return int((self.folder / "count").read_text())


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    isolate(monkeypatch)
    one = Source(tmp_path)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return one


def isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def keeper(clock: list[float] | None = None, **fields: str) -> CredentialKeeper:
    now = clock or [0.0]
    return CredentialKeeper("cloud", BedrockCredentials(**fields), lambda: now[0])  # type: ignore[arg-type]


async def settle(keeper: CredentialKeeper) -> None:
    """Lets a background refresh come to its end."""
    if keeper._refresh is not None:
        await asyncio.wait([keeper._refresh])


async def test_explicit_keys_are_used_as_they_are() -> None:
    frozen = await keeper(access_key_id="a", secret_access_key="b", session_token="c").current()
    assert (frozen.access_key, frozen.secret_key, frozen.token) == ("a", "b", "c")


async def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "env-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
    assert (await keeper().current()).access_key == "env-key"


async def test_a_profile_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = lab-key\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert (await keeper(profile="lab").current()).access_key == "lab-key"


@pytest.mark.parametrize("fields", [{}, {"profile": "absent"}], ids=["nothing anywhere", "unknown profile"])
async def test_without_credentials_the_backend_is_to_blame(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, str]
) -> None:
    isolate(monkeypatch)
    with pytest.raises(UpstreamError, match="no AWS credentials") as caught:
        await keeper(**fields).current()
    assert (caught.value.status, caught.value.code) == (502, "backend_credentials_missing")


async def test_a_burst_of_first_calls_asks_the_source_once(source: Source) -> None:
    one = keeper(profile="lab")
    frozen = await asyncio.gather(*(one.current() for _ in range(20)))
    assert {each.access_key for each in frozen} == {"key-1"}
    assert source.calls == 1


async def test_the_source_is_asked_off_the_loop(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    resolve = credentials._resolve

    def noted(settings: BedrockCredentials) -> object:
        threads.append(threading.current_thread().name)
        return resolve(settings)

    monkeypatch.setattr(credentials, "_resolve", noted)
    await keeper(profile="lab").current()
    assert threads
    assert threading.main_thread().name not in threads


async def test_long_before_their_end_nothing_is_refreshed(source: Source) -> None:
    one = keeper(profile="lab")
    for _ in range(5):
        await one.current()
    await settle(one)
    assert source.calls == 1


async def test_near_their_end_they_are_refreshed_behind_the_calls(source: Source) -> None:
    now = [0.0]
    source.lasts(800)  # under botocore's 15 minutes
    one = keeper(now, profile="lab")
    first = await one.current()
    source.lasts(3600)
    now[0] += credentials.RETRY_SECONDS
    assert await one.current() == first  # this call does not wait
    await settle(one)
    assert (await one.current()).access_key != first.access_key


async def test_at_their_end_a_call_waits_for_new_ones(source: Source) -> None:
    source.lasts(credentials.SECONDS_LEFT_TO_SIGN - 20)
    one = keeper(profile="lab")
    first = await one.current()
    source.lasts(3600)
    assert (await one.current()).access_key != first.access_key


async def test_a_refresh_that_fails_leaves_the_good_ones_in_use_and_tells_no_secret(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    source.lasts(300)
    one = keeper(now, profile="lab")
    first = await one.current()
    calls = source.calls
    source.breaks()
    now[0] += credentials.RETRY_SECONDS
    for _ in range(3):
        assert await one.current() == first
        await settle(one)
    assert source.calls == calls + 1
    assert "SECRET" not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("gateway")
    )


async def test_refused_credentials_are_read_again_but_not_with_every_call(source: Source) -> None:
    now = [0.0]
    one = keeper(now, profile="lab")
    await one.current()
    now[0] += credentials.RETRY_SECONDS
    for _ in range(5):
        one.doubt()
        await one.current()
        await settle(one)
    assert source.calls == 2
    assert (await one.current()).access_key == "key-2"


async def test_an_expired_source_that_fails_is_an_error_without_its_output(source: Source) -> None:
    source.breaks()
    with pytest.raises(UpstreamError) as caught:
        await keeper(profile="lab").current()
    assert "SECRET" not in json.dumps([str(caught.value), repr(caught.value), str(caught.value.__cause__)])
