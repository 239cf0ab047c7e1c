"""Rows as token ids, as the server will feed them, and which of the ids are learned.

Of a conversation, the prompt is what vLLM's chat endpoint makes of all messages but the last: the tokenizer's chat
template with the generation prompt. The answer is what the template writes after that for the last message, up to and
including the token that ends a turn; a line break after it is not learned, since the server has stopped by then. Where
the template renders a whole conversation otherwise than its prompt (some write reasoning marks into one and not into
the other), the prompt stays as the server feeds it and the answer's text and the end of a turn are put behind it.

Of a prompt and its completion, the prompt is what vLLM's completion endpoint makes of it (with the tokenizer's first
token, if it has one), and the completion is followed by the end-of-text token.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from trainer.data.problem import DataError, LineProblem
from trainer.data.rows import Message, Row

_ROWS_AT_A_TIME = 512
"""Texts handed to the tokenizer in one call: it uses every core for them, where it may."""
_MARK = "crossover-mark-5b1d"
"""An answer that no template writes by itself."""


class Rendered(msgspec.Struct, frozen=True):
    """One row as token ids. `ids[learned_from:]` are learned: the answer and the token that ends it."""

    number: int
    """The line of the file, from 1."""
    ids: array[int]
    learned_from: int
    ended: bool = True
    """The last id is one at which the server stops."""
    as_template: bool = True
    """The template renders the whole conversation as these ids, and at most white space after them."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def learned_tokens(self) -> int:
        """Ids that count in the loss. The very first id of a sequence cannot be predicted from anything."""
        return len(self.ids) - max(self.learned_from, 1)


class Renderer:
    """Renders rows with one tokenizer of transformers (`AutoTokenizer`). Raises ValueError for one without an
    end-of-text token."""

    def __init__(self, tokenizer: Any, stop_ids: Iterable[int] = ()) -> None:
        """`stop_ids` are further ids at which the server stops, as those in the model's generation_config.json."""
        if tokenizer.eos_token_id is None:
            raise ValueError("the tokenizer has no eos_token: a model could not learn to stop; name it in its config")
        self.tokenizer = tokenizer
        self.stop_ids = frozenset([int(tokenizer.eos_token_id), *stop_ids])
        self.turn_end: str = ""
        """What the chat template writes after an answer, up to where the server stops; empty without a template."""
        self.turn_end_ids: list[int] = []
        self.after_turn: str = ""
        """What the template writes after an answer, in full."""
        if getattr(tokenizer, "chat_template", None):
            self._probe()

    @property
    def has_template(self) -> bool:
        return bool(getattr(self.tokenizer, "chat_template", None))

    @property
    def turn_ends(self) -> bool:
        """The chat template ends an answer with a token at which the server stops."""
        return bool(self.turn_end_ids) and self.turn_end_ids[-1] in self.stop_ids

    @property
    def dated(self) -> bool:
        """The chat template writes today's date."""
        return "strftime_now" in str(getattr(self.tokenizer, "chat_template", None))

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """The texts that the tokenizer reads as one special token each."""
        added = getattr(self.tokenizer, "added_tokens_decoder", {}).values()
        names = {str(token) for token in added if getattr(token, "special", False)}
        return tuple(sorted(names | set(self.tokenizer.all_special_tokens)))

    @property
    def turn_marks(self) -> str:
        """A text that holds every special token with which turns are made: the chat template, and the stops."""
        stops = "".join(self.tokenizer.decode([token]) for token in sorted(self.stop_ids))
        return str(getattr(self.tokenizer, "chat_template", None) or "") + stops

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The ids that vLLM's chat endpoint would feed for these messages."""
        return self._ids([self._text(messages, prompt=True)], special=False)[0]

    def render(self, rows: Iterable[Row], file: str = "rows") -> Iterator[Rendered]:
        """Each of `rows`, in order. Raises DataError, which names `file`, with every row that the template refuses, at
        the end."""
        problems: list[LineProblem] = []
        remaining = iter(rows)
        while some := list(islice(remaining, _ROWS_AT_A_TIME)):
            yield from self._render_some(some, problems)
        if problems:
            raise DataError(file, problems)

    def _probe(self) -> None:
        messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _MARK}]
        self.after_turn = self._text(messages).rpartition(_MARK)[2]
        ids = self._ids([self.after_turn], special=False)[0]
        stops = [index for index, token in enumerate(ids) if token in self.stop_ids]
        self.turn_end_ids = ids[: stops[0] + 1] if stops else ids
        if stops:
            self.turn_end = self.tokenizer.decode(self.turn_end_ids)

    def _render_some(self, rows: Sequence[Row], problems: list[LineProblem]) -> Iterator[Rendered]:
        chats = [self._chat_texts(row, problems) for row in rows]
        chat_ids = iter(self._ids([text for chat in chats if chat for text in chat], special=False))
        pairs = [(row.prompt or "", row.completion or "") for row in rows if row.messages is None]
        pair_ids = iter(self._ids([text for p, c in pairs for text in (p, p + c)], special=True))
        for row, chat in zip(rows, chats, strict=True):
            if row.messages is None:
                yield self._completion(row, next(pair_ids), next(pair_ids))
            elif chat:
                yield self._chat(row, *chat, next(chat_ids), next(chat_ids))

    def _chat_texts(self, row: Row, problems: list[LineProblem]) -> tuple[str, str] | None:
        """The prompt and the whole conversation as text; None for a completion, or where the template refuses it."""
        if row.messages is None:
            return None
        try:
            return self._text(row.messages[:-1], prompt=True), self._text(row.messages)
        except Exception as error:  # a template raises what it likes
            message = f"the model's chat template refuses it: {error}"
            problems.append(LineProblem(row.number, message, "order and name its messages as that model expects"))
            return None

    def _chat(self, row: Row, prompt_text: str, text: str, prompt: list[int], whole: list[int]) -> Rendered:
        as_template = text.startswith(prompt_text)
        if as_template and whole[: len(prompt)] == prompt:
            answer = whole[len(prompt) :]
        elif (
            as_template
        ):  # the answer's first letters would melt into the prompt's last token: the server keeps them apart
            answer = self._apart(text[len(prompt_text) :])
        else:
            answer = self._apart(row.answer + self.turn_end)
        last = next((i for i in range(len(answer) - 1, -1, -1) if answer[i] in self.stop_ids), None)
        ended = last is not None and not self.tokenizer.decode(answer[last + 1 :]).strip()
        if last is not None and ended:
            del answer[last + 1 :]
        return Rendered(row.number, array("i", prompt + answer), len(prompt), ended, as_template)

    def _completion(self, row: Row, prompt: list[int], whole: list[int]) -> Rendered:
        if whole[: len(prompt)] == prompt:
            answer = whole[len(prompt) :]
        else:
            answer = self._apart(row.completion or "")
        if not answer or answer[-1] != self.tokenizer.eos_token_id:
            answer.append(int(self.tokenizer.eos_token_id))
        return Rendered(row.number, array("i", prompt + answer), len(prompt))

    def _apart(self, text: str) -> list[int]:
        """The ids of a text that follows other ids. Some tokenizers put a space before a text's first word: they do not
        behind a special token, so one is put there and taken off again."""
        end = str(self.tokenizer.eos_token)
        ids, bare = self._ids([end + text, text], special=False)
        return ids[1:] if ids and ids[0] == self.tokenizer.eos_token_id else bare

    def _text(self, messages: Sequence[Message], *, prompt: bool = False) -> str:
        return str(self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=prompt))

    def _ids(self, texts: list[str], *, special: bool) -> list[list[int]]:
        # A chat template writes its special tokens itself; of a plain prompt vLLM asks the tokenizer to add them.
        if not texts:
            return []
        encoded = self.tokenizer(texts, add_special_tokens=special, return_attention_mask=False, verbose=False)
        return [list(ids) for ids in encoded["input_ids"]]


def render(row: Row, tokenizer: Any) -> Rendered:
    """One row. Raises DataError when the chat template refuses it. For many rows, keep one `Renderer`."""
    return next(Renderer(tokenizer).render([row]))


def stop_ids(model: Path) -> list[int]:
    """Ids at which vLLM stops besides the tokenizer's end of text: `eos_token_id` of `generation_config.json` in the
    folder `model`. Empty without that file."""
    try:
        config = json.loads((model / "generation_config.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return []
    given = config.get("eos_token_id") if isinstance(config, dict) else None
    return [token for token in (given if isinstance(given, list) else [given]) if isinstance(token, int)]


def load_renderer(model: Path) -> Renderer:
    """The renderer of the model in a folder. Needs transformers, nothing is fetched. Raises OSError or ValueError."""
    from transformers import AutoTokenizer

    return Renderer(AutoTokenizer.from_pretrained(str(model), local_files_only=True), stop_ids(model))
