"""Read a gate's settings file, or say everything that is wrong with it at once, each with its line and column."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.policy.checks import Broken, has_userinfo, is_loopback
from gateway.policy.load import parse_settings, read_text
from gateway.policy.problem import PathInPolicy
from gateway.policy.walk import closest
from trainer.gate.settings import CALIBRATION, CANARY, GateSettings

PATHS = ("questions", "holdout", "out", "calibration", "ledger")
"""The settings that name files and folders: relative to the settings file."""
FILES = {
    "questions": "the frozen questions",
    "holdout": "the held-out questions",
    "calibration": "the labelled answers",
}
JUDGES = 2
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class LoadedGate:
    """`settings` with absolute paths; `path`: the file."""

    settings: GateSettings
    path: Path


def load_gate(
    path: str | Path,
    *,
    environ: Mapping[str, str] | None = None,
    require_files: bool = True,
    require_keys: bool = True,
) -> LoadedGate:
    """The settings of the file at `path`.

    environ: where `${NAME}` and the keys' variables are looked up; default: the process's environment.
    require_files: also an error where the questions or the labelled answers are not there.
    require_keys: also an error where a variable that `key_env` names is not set.

    Raises SettingsError with all errors, each with its file, line and column.
    """
    file = Path(path).expanduser().absolute()
    environ = os.environ if environ is None else environ

    def check(data: Any) -> Iterator[Broken]:
        yield from _generators(data)
        yield from _judges(data)
        for place, endpoint in _endpoints(data):
            yield from _key(place, endpoint, environ if require_keys else None)
            yield from _address(place, endpoint)
        if require_files:
            yield from _missing_files(data, file.parent)

    settings = parse_settings(GateSettings, read_text(path), str(path), environ, check=check)
    paths = {
        name: str(_resolved(value, file.parent)) for name in PATHS if (value := getattr(settings, name)) is not None
    }
    return LoadedGate(settings.model_copy(update=paths), file)


def _resolved(value: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder / Path(value).expanduser()))


# -- what the file's values alone, the environment and the disk already tell ------------------------------------------


def _generators(data: Any) -> Iterator[Broken]:
    generators = _mapping(data, "generators")
    if not isinstance(_get(data, "generators"), dict):
        return
    for name in generators:
        if not _FILE_NAME.fullmatch(name):
            yield Broken(
                ("generators", name),
                "its answers go into a file of this name, which may hold letters, digits and . _ - only",
                "rename it",
            )
        elif name == CANARY or name.startswith(CALIBRATION):
            yield Broken(("generators", name), "the judges' log uses this name itself", "rename it")
    for role in ("control", "candidate", "live"):
        name = _get(data, role)
        if isinstance(name, str) and name not in generators:
            meant = closest(name, generators)
            known = ", ".join(generators) or "none"
            mend = f"did you mean `{meant}`?" if meant else f"the generators are: {known}"
            yield Broken((role,), "names no generator of this gate", mend, show_value=True)
    for role, why in (
        ("control", "compared with itself nothing is ever better"),
        ("live", "what serves now cannot be what is to pass"),
    ):
        name = _get(data, role)
        if isinstance(name, str) and name == _get(data, "candidate"):
            yield Broken((role,), f"is the candidate too: {why}", "name another generator", show_value=True)


def _judges(data: Any) -> Iterator[Broken]:
    judges = _get(data, "judges")
    if not isinstance(judges, dict):
        return
    if len(judges) != JUDGES:
        yield Broken(
            ("judges",),
            f"there are {len(judges)}, and the verdict is of exactly {JUDGES}: an answer is accepted where both accept",
            "name two, of different kinds or families if you can: they err together less",
        )
    seen: dict[tuple[Any, ...], str] = {}
    for name, judge in judges.items():
        if not isinstance(judge, dict):
            continue
        same = tuple(judge.get(key) for key in ("kind", "rule", "model", "base_url"))
        if same in seen:
            yield Broken(
                ("judges", name),
                f"is the same judge as {seen[same]}: asked twice, one judge agrees with itself",
                "name another rule or another model",
            )
        seen.setdefault(same, name)


def _endpoints(data: Any) -> Iterator[tuple[PathInPolicy, dict[str, Any]]]:
    for section in ("generators", "judges"):
        for name, endpoint in _mapping(data, section).items():
            if isinstance(endpoint, dict):
                yield (section, name), endpoint


def _key(place: PathInPolicy, endpoint: dict[str, Any], environ: Mapping[str, str] | None) -> Iterator[Broken]:
    """Says nothing of what is written there: someone may have put the key itself."""
    variable = endpoint.get("key_env")
    if not isinstance(variable, str):
        return
    if not _VARIABLE.fullmatch(variable):
        yield Broken(
            (*place, "key_env"),
            "is not the name of an environment variable in capital letters, such as CROSSOVER_API_KEY",
            "put the key into a variable and write the variable's name here; a key itself does not belong in this file",
        )
    elif environ is not None and not environ.get(variable):
        state = "empty" if variable in environ else "not set"
        yield Broken(
            (*place, "key_env"), f"the environment variable {variable} is {state}", "set it, or leave key_env out"
        )


def _address(place: PathInPolicy, endpoint: dict[str, Any]) -> Iterator[Broken]:
    url = endpoint.get("base_url")
    if not isinstance(url, str):
        return
    if has_userinfo(url):
        yield Broken((*place, "base_url"), "holds a user name or password before an @", "use key_env")
        return
    try:
        host, _ = urlsplit(url).hostname, urlsplit(url).port
    except ValueError:
        yield Broken((*place, "base_url"), "its port is no number from 1 to 65535", "correct it", show_value=True)
        return
    if endpoint.get("key_env") and url.startswith("http://") and host and not is_loopback(host):
        yield Broken(
            (*place, "base_url"),
            f"the key would cross the network in clear text to {host}",
            "use https, or a loopback address, or leave key_env out",
        )


def _missing_files(data: Any, folder: Path) -> Iterator[Broken]:
    for name, what in FILES.items():
        value = _get(data, name)
        if isinstance(value, str) and value and not (where := _resolved(value, folder)).is_file():
            state = "is a folder" if where.is_dir() else "is not there"
            yield Broken((name,), f"{what}: {where} {state}", "paths are relative to this settings file")
    out = _get(data, "out")
    if isinstance(out, str) and out and (where := _resolved(out, folder)).exists() and not where.is_dir():
        yield Broken(("out",), f"{where} is a file, not a folder", "name another place")


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _mapping(data: Any, key: str) -> dict[str, Any]:
    value = _get(data, key)
    return value if isinstance(value, dict) else {}
