"""Read a policy, or another file of settings, into frozen values, or say everything that is wrong with it at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from gateway.economics.prices import CostKind
from gateway.policy.base import RULE_ERROR, Settings
from gateway.policy.checks import URL_SETTINGS, Broken, check_sections
from gateway.policy.document import Document, read_document
from gateway.policy.problem import PathInPolicy, PolicyError, Problem, SettingsError
from gateway.policy.schema import Policy
from gateway.policy.walk import closest, described, holds_secret

MAX_FILE_BYTES = 1024 * 1024
COST_KINDS: tuple[str, ...] = get_args(CostKind)
S = TypeVar("S", bound=Settings)


def load_policy(
    path: str | Path, environ: Mapping[str, str] | None = None, *, require_environment: bool = True
) -> Policy:
    """The settings of the policy file at `path`.

    environ: where `${NAME}` and the keys' `env` are looked up; default: the process's environment.
    require_environment: False leaves unset variables as they are written (an error only where the setting cannot
    hold text) and does not look keys up: enough to read the prices of a policy that is deployed elsewhere.

    Raises PolicyError with all errors, each with its file, line and column.
    """
    try:
        return parse_policy(read_text(path), str(path), environ, require_environment=require_environment)
    except PolicyError:
        raise
    except SettingsError as error:
        raise PolicyError(error.problems) from None


def parse_policy(
    text: str, file: str = "policy", environ: Mapping[str, str] | None = None, *, require_environment: bool = True
) -> Policy:
    """As `load_policy`, for the text of a file; `file` is the name that errors show."""
    environ = os.environ if environ is None else environ

    def check(data: Any) -> Iterator[Broken]:
        return check_sections(data, environ, environment=require_environment)

    try:
        return parse_settings(Policy, text, file, environ, check=check, require_environment=require_environment)
    except SettingsError as error:
        raise PolicyError(error.problems) from None


def read_text(path: str | Path) -> str:
    """The text of a settings file. Raises SettingsError where it cannot be read, is too large or is not UTF-8."""
    name = str(path)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError([Problem(name, 1, 1, "", None, f"cannot be read: {reason}", "check the path")]) from None
    if len(content) > MAX_FILE_BYTES:
        message = f"larger than the limit of {MAX_FILE_BYTES} bytes"
        raise SettingsError([Problem(name, 1, 1, "", None, message, "it holds settings only: split data out")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        problem = Problem(name, before.count(b"\n") + 1, column, "", None, "not UTF-8 text", "save it as UTF-8")
        raise SettingsError([problem]) from None


def parse_settings(
    kind: type[S],
    text: str,
    file: str,
    environ: Mapping[str, str],
    *,
    check: Callable[[Any], Iterable[Broken]] | None = None,
    require_environment: bool = True,
) -> S:
    """The settings of class `kind` that `text` holds; `file` is the name that errors show.

    check: what must hold between sections, asked over the raw values, which may be wrong in other ways.
    Raises SettingsError with all errors, each with its file, line and column.
    """
    document = read_document(text, file, environ)
    if document.data is None:
        if not document.problems:
            document.problems.append(Problem(file, 1, 1, "", None, "empty", "begin with `version: 1`"))
        raise SettingsError(document.problems)
    problems = list(document.problems)
    settings: S | None = None
    blamed = set(document.unset) if require_environment else set()
    problems += [document.unset[path] for path in blamed]
    try:
        settings = kind.model_validate(document.data)
    except ValidationError as error:
        for problem_path, problem in _from_pydantic(error, kind, document):
            if problem_path in document.unset:
                if problem_path not in blamed:
                    problems.append(document.unset[problem_path])
            else:
                problems.append(problem)
    for mapping in described(kind, document.data):
        problems += [
            document.problem(mapping.path, message, key=True) for message in mapping.settings.rules(mapping.given)
        ]
    problems += [
        document.problem(
            broken.path, broken.message, broken.mend, _shown(document, broken.path) if broken.show_value else None
        )
        for broken in (check(document.data) if check else ())
    ]
    if problems or settings is None:
        raise SettingsError(list(dict.fromkeys(problems)))
    return settings


# -- pydantic's errors in the file's terms ----------------------------------------------------------------------------


def _from_pydantic(
    error: ValidationError, kind: type[Settings], document: Document
) -> Iterator[tuple[PathInPolicy, Problem]]:
    classes = {mapping.path: mapping.settings for mapping in described(kind, document.data)}
    found: dict[PathInPolicy, Problem] = {}
    for line in error.errors(include_url=False, include_input=False):
        if line["type"] == RULE_ERROR:
            continue  # `Settings.rules` is asked again over the raw data, where it also sees invalid values
        path, on_key = _path(line["loc"], document.data)
        owner = classes.get(path[:-1])
        problem = _explain(line, path, on_key, owner, document)
        if (first := found.get(path)) is not None:  # each member of a union says what it would have taken
            problem = replace(first, message=f"{first.message}, or {problem.message}", mend=first.mend or problem.mend)
        found[path] = problem
    yield from found.items()


def _path(loc: tuple[int | str, ...], data: Any) -> tuple[PathInPolicy, bool]:
    """pydantic's location as a path in the file: without the names of union members; True when it is about a key."""
    path: PathInPolicy = ()
    value, member = data, None
    for part in loc:
        if part == "[key]":
            return path, True
        tag = isinstance(value, dict) and path[-1:] == ("cost",) and value.get("kind") == part and member != path
        if tag:
            member = path
            continue
        if isinstance(part, str) and value is not None and not isinstance(value, dict):
            continue  # the name of a union's member, where the value is not a mapping
        path = (*path, part)
        if isinstance(value, dict) and isinstance(part, str):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            value = None
    return path, False


def _explain(line: Any, path: PathInPolicy, on_key: bool, owner: type[Settings] | None, document: Document) -> Problem:
    kind, context = line["type"], line.get("ctx", {})
    name = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        known = [field for field in owner.model_fields if field != "kind"] if owner else []
        mend = _did_you_mean(name, known) or f"the settings here are: {', '.join(known)}"
        return document.problem(path, "unknown setting", mend, key=True)
    if kind == "missing":
        field = owner.model_fields.get(name) if owner else None
        what = field.description if field else None
        return document.problem(path, "is missing", f"add it: {what}" if what else "add it", key=True)
    if on_key:
        return document.problem(
            path, "is not a valid name: letters, digits and . _ : @ / -, at most 64", "rename it", key=True
        )
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        expected = ", ".join(COST_KINDS[:-1]) + f" or {COST_KINDS[-1]}"
        tag = context.get("tag")
        if tag is None:
            return document.problem((*path, "kind"), "is missing", f"say which cost kind it is: {expected}", key=True)
        path = (*path, "kind")
        return document.problem(
            path, f"must be {expected}", _did_you_mean(str(tag), COST_KINDS), _shown(document, path)
        )
    message, advice = _worded(kind, context, line["msg"], _at(document.data, path))
    secret = owner is not None and holds_secret(owner, name)
    return document.problem(path, message, advice, "a secret" if secret else _shown(document, path))


def _did_you_mean(word: str, known: Iterable[str]) -> str | None:
    meant = closest(word, known)
    return f"did you mean `{meant}`?" if meant else None


def _worded(kind: str, context: Mapping[str, Any], message: str, value: Any) -> tuple[str, str | None]:
    if value is None and not kind.startswith("finite"):
        return "is empty", "fill it in, or remove the line where it may be left out"
    if kind == "string_type" and not isinstance(value, dict | list):
        return "must be text", "put it in quotes"
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return f"must be {context.get('expected')}", _did_you_mean(str(value), choices)
    if kind == "string_pattern_mismatch":
        return f"does not have the form {context.get('pattern')}", None
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "must be a mapping of settings", "indent its settings below it"
    if kind == "tuple_type":
        return "must be a list", "write each entry on its own line after `- `"
    worded = message.replace("Input should be ", "must be ").replace("Value error, ", "")
    return worded[:1].lower() + worded[1:], None


def _shown(document: Document, path: PathInPolicy) -> str | None:
    """The value as an error may show it: as written where a variable was filled in, without credentials in URLs."""
    if path in document.written:
        return document.written[path][:80]
    value = _at(document.data, path)
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return None
    if isinstance(value, str):
        # Greedy: a password may hold a / or an @ of its own.
        clean = re.sub(r"^\S*@" if path[-1:] and path[-1] in URL_SETTINGS else r"//\S*@", "***@", value)
        return repr(clean if len(clean) <= 80 else clean[:77] + "...")
    return str(value).lower() if isinstance(value, bool) else str(value)[:80]


def _at(data: Any, path: PathInPolicy) -> Any:
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data
