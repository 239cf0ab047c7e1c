"""A YAML text as plain values, each with its line and column, with `${ENV}` filled in.

YAML 1.2's core schema rather than PyYAML's 1.1 default: `no` is text, `2026-08-01` is text, `1e-3` is a number.
Decimal numbers become `Decimal`, so a price never passes through a float.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml

from gateway.policy.problem import PathInPolicy, Problem, dotted

MAX_NODES = 100_000
"""Values in one file, aliases counted each time they are used: a bound against exponential expansion."""

_TAG = "tag:yaml.org,2002:"
_VARIABLE = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\})?")


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012  (PyYAML's own class attribute)


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)


@dataclass(frozen=True, slots=True)
class Place:
    line: int
    column: int


@dataclass(slots=True)
class Document:
    """`data` with the place of every key and value, by path; and what was wrong on the way there."""

    file: str
    data: Any = None
    keys: dict[PathInPolicy, Place] = field(default_factory=dict)
    values: dict[PathInPolicy, Place] = field(default_factory=dict)
    written: dict[PathInPolicy, str] = field(default_factory=dict)
    """The text in the file of each value that named a variable: shown in errors instead of what the variable held."""
    unset: dict[PathInPolicy, Problem] = field(default_factory=dict)
    """Values left as written because a variable they name is not set."""
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: PathInPolicy, *, key: bool = False) -> Place:
        """Where `path` is written; for a path that is not in the file, the nearest mapping or list that holds it."""
        first, second = (self.keys, self.values) if key else (self.values, self.keys)
        while path:
            if found := first.get(path) or second.get(path):
                return found
            path, first, second = path[:-1], self.keys, self.values
        return Place(1, 1)

    def problem(
        self, path: PathInPolicy, message: str, mend: str | None = None, value: str | None = None, *, key: bool = False
    ) -> Problem:
        place = self.place(path, key=key)
        return Problem(self.file, place.line, place.column, dotted(path), value, message, mend)


def read_document(text: str, file: str, environ: Mapping[str, str]) -> Document:
    """Parse `text`; syntax errors, duplicate keys and unset variables are in the document's lists, not raised."""
    document = Document(file)
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is not None:
            _Builder(document, loader, environ).build_root(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = ", ".join(part for part in (error.context, error.problem) if part)
        document.problems.append(
            Problem(file, line, column, "", None, f"not YAML: {message}", _syntax_mend(text, line))
        )
    except yaml.reader.ReaderError as error:
        # `position` counts characters of the text; a str is checked as a whole before anything is parsed
        before = text[: error.position]
        column = len(before) - (before.rfind("\n") + 1) + 1
        message = f"not YAML: the character U+{_code_point(error.character):04X} is not allowed"
        document.problems.append(Problem(file, before.count("\n") + 1, column, "", None, message, "remove it"))
    except RecursionError:
        document.problems.append(Problem(file, 1, 1, "", None, "nested too deeply to hold settings", "flatten it"))
    finally:
        if loader is not None:
            loader.dispose()
    return document


def _code_point(character: int | str | bytes) -> int:
    return character if isinstance(character, int) else ord(character)


def _syntax_mend(text: str, line: int) -> str | None:
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    if "\t" in here:
        return "indent with spaces, not tabs"
    if "${" in here:
        return 'inside [ ] or { } write "${NAME}" in quotes'
    return None


class _Builder:
    def __init__(self, document: Document, loader: _Loader, environ: Mapping[str, str]) -> None:
        self.document = document
        self.loader = loader
        self.environ = environ
        self.nodes = 0
        self.open: set[int] = set()

    def build_root(self, root: yaml.Node) -> None:
        self.document.data = self.build(root, ())

    def build(self, node: yaml.Node, path: PathInPolicy) -> Any:
        self.document.values[path] = Place(node.start_mark.line + 1, node.start_mark.column + 1)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            if self.nodes == MAX_NODES + 1:
                self.complain(path, f"more than {MAX_NODES} values once its anchors are expanded", "use fewer aliases")
            return None
        if id(node) in self.open:
            self.complain(path, "an anchor that contains itself", "write the values out")
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.CollectionNode) and node.tag not in (_TAG + "map", _TAG + "seq"):
                self.complain(path, f"unknown tag {node.tag}", "write it as plain YAML")
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
            return self.scalar(node, path)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.MappingNode, path: PathInPolicy) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                mark = key_node.start_mark
                self.document.keys[(*path, "?")] = Place(mark.line + 1, mark.column + 1)
                self.complain((*path, "?"), "a key must be a name, not a list or a mapping", "write a plain name")
                continue
            if key_node.tag == _TAG + "merge":
                merged.append(value_node)
                continue
            key, place = key_node.value, Place(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            here = (*path, key)
            if key in own:
                first = self.document.keys[here].line
                self.document.problems.append(
                    Problem(
                        self.document.file, place.line, place.column, dotted(here), None,
                        f"written twice: first on line {first}", "remove one",
                    )
                )  # fmt: skip
                continue
            self.document.keys[here] = place
            own[key] = self.build(value_node, here)
        return self.merge(own, merged, path)

    def merge(self, own: dict[str, Any], sources: list[yaml.Node], path: PathInPolicy) -> dict[str, Any]:
        """`<<: *anchor`: keys that the mapping does not have itself."""
        for source in sources:
            parts = source.value if isinstance(source, yaml.SequenceNode) else [source]
            for part in parts:
                if not isinstance(part, yaml.MappingNode) or id(part) in self.open:
                    self.complain(path, "`<<` must be followed by another mapping or a list of them")
                    continue
                for key_node, value_node in part.value:
                    if isinstance(key_node, yaml.ScalarNode) and key_node.value not in own:
                        here = (*path, key_node.value)
                        self.document.keys[here] = Place(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
                        own[key_node.value] = self.build(value_node, here)
        return own

    def scalar(self, node: yaml.Node, path: PathInPolicy) -> Any:
        raw: str = node.value
        plain = getattr(node, "style", None) is None
        implicit = plain and node.tag == self.resolved(raw)
        text = self.fill_in(raw, path) if "${" in raw else raw
        tag = self.resolved(text) if implicit else node.tag
        try:
            return _value(tag, text)
        except (ValueError, InvalidOperation):
            self.complain(path, f"not a value of the type {tag.removeprefix(_TAG)}", "write it as plain YAML")
            return None

    def resolved(self, text: str) -> str:
        """The tag that YAML gives an unquoted text."""
        return str(self.loader.resolve(yaml.ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]

    def fill_in(self, raw: str, path: PathInPolicy) -> str:
        missing: list[str] = []
        malformed = False

        def replace(match: re.Match[str]) -> str:
            nonlocal malformed
            if match.group() == "$${":
                return "${"
            name, default = match["name"], match["default"]
            if name is None:
                malformed = True
                return match.group()
            value = self.environ.get(name)
            if value is not None and (value or default is None):
                return value
            if default is not None:
                return default[2:]
            missing.append(name)
            return match.group()

        text = _VARIABLE.sub(replace, raw)
        self.document.written[path] = raw
        if malformed:
            self.complain(
                path, "`${` does not begin a variable", "write ${NAME}, ${NAME:-default}, or $${ for a plain ${"
            )
        if missing:
            names = " and ".join(dict.fromkeys(missing))
            verb = "is" if len(set(missing)) == 1 else "are"
            self.document.unset[path] = self.document.problem(
                path,
                f"the environment variable {names} {verb} not set",
                f"set it, or write ${{{missing[0]}:-default}}",
            )
        return text

    def complain(self, path: PathInPolicy, message: str, mend: str | None = None) -> None:
        self.document.problems.append(self.document.problem(path, message, mend))


def _value(tag: str, text: str) -> Any:
    kind = tag.removeprefix(_TAG)
    if kind == "str":
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if kind == "float":
        number = Decimal(text)
        if number and abs(number.adjusted()) > 300:
            raise ValueError("beyond what any setting can hold")
        return number
    raise ValueError(f"unknown tag {tag}")
