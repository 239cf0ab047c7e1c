"""The tokenizer's files as transformers 4.51 and Bedrock take them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.export.bounded_json import parse, read_json
from trainer.export.config_checks import own_code
from trainer.export.finding import Finding, error, some, warning

BEDROCK_TOKENIZERS = tuple(
    name + suffix
    for name in (
        "T5Tokenizer",
        "LlamaTokenizer",
        "CodeLlamaTokenizer",
        "GPT2Tokenizer",
        "GPTNeoXTokenizer",
        "PreTrainedTokenizer",
        "Qwen2Tokenizer",
    )
    for suffix in ("", "Fast")
)
_MOST_TOKENIZER_BYTES = 256 << 20
_FROM_THE_ORIGINAL = "take the tokenizer's files from the base's original snapshot"


def check_tokenizer(folder: Path, config: Mapping[str, Any]) -> Iterator[Finding]:
    """Everything about the tokenizer's files that the import would refuse or misread."""
    settings = yield from _read(folder, "tokenizer_config.json")
    if settings is not None:
        if settings.get("auto_map"):
            yield own_code("tokenizer_config.json", "the tokenizer")
        yield from _class(settings)
        yield from _chat_template(folder, settings)
        if isinstance(settings.get("extra_special_tokens"), list):
            yield error(
                "extra-special-tokens",
                "tokenizer_config.json has a list of extra_special_tokens, as transformers 5 writes it",
                "transformers 4.51 wants an object there and ends with an AttributeError",
                _FROM_THE_ORIGINAL,
            )
    tokenizer = yield from _read(folder, "tokenizer.json")
    if tokenizer is not None:
        yield from _tokens(tokenizer, settings or {}, config)


def _read(folder: Path, name: str) -> Generator[Finding, None, dict[str, Any] | None]:
    try:
        content = read_json(folder / name, _MOST_TOKENIZER_BYTES)
    except FileNotFoundError:
        yield error("missing-file", f"there is no {name}", "Bedrock needs it", _FROM_THE_ORIGINAL)
        return None
    except (OSError, ValueError) as problem:
        yield error("unreadable-file", f"{name} cannot be read: {problem}", "Bedrock needs it", _FROM_THE_ORIGINAL)
        return None
    if not isinstance(content, dict):
        yield error("unreadable-file", f"{name} is not a JSON object", "Bedrock needs it", _FROM_THE_ORIGINAL)
        return None
    return content


def _class(settings: Mapping[str, Any]) -> Iterator[Finding]:
    name = settings.get("tokenizer_class")
    if name is None:
        yield warning(
            "tokenizer-class-not-said",
            "tokenizer_config.json names no tokenizer_class",
            "the reader guesses one from the model's type",
            "name the class of the base's original snapshot",
        )
    elif name not in BEDROCK_TOKENIZERS:
        by = " (transformers 5 writes it for any tokenizer)" if name in ("TokenizersBackend", "PythonBackend") else ""
        yield error(
            "tokenizer-class",
            f"tokenizer_class is {name!r}{by}",
            f"Bedrock takes {', '.join(each for each in BEDROCK_TOKENIZERS if not each.endswith('Fast'))} and their "
            "Fast forms; transformers 4.51 does not know TokenizersBackend",
            f"{_FROM_THE_ORIGINAL}, or write PreTrainedTokenizerFast if tokenizer.json is all there is",
        )


def _chat_template(folder: Path, settings: Mapping[str, Any]) -> Iterator[Finding]:
    inside = settings.get("chat_template")
    if isinstance(inside, list):
        named = [each.get("template") for each in inside if isinstance(each, Mapping) and each.get("name") == "default"]
        inside = named[-1] if named else None
    beside: dict[str, str] = {}
    for name in ("chat_template.jinja", "chat_template.json"):
        file = folder / name
        if file.is_file():
            try:
                text = file.read_text(encoding="utf-8")
            except (OSError, ValueError) as problem:
                yield error(
                    "unreadable-file",
                    f"{name} cannot be read: {problem}",
                    "the reader would end there",
                    _FROM_THE_ORIGINAL,
                )
                continue
            beside[name] = _template_of(text) if name.endswith(".json") else text
    differing = sorted(name for name, text in beside.items() if inside is not None and text != inside)
    if differing:
        yield error(
            "chat-template",
            f"the chat template in {', '.join(differing)} is not the one in tokenizer_config.json",
            "the reader takes the file of its own over the one inside, and other tools the one inside",
            "keep one of them, or make them the same to the byte, in the base",
        )
    elif inside is None and not beside:
        yield warning(
            "no-chat-template",
            "there is no chat template",
            "the imported model will take completions, not chat messages",
            "take a base that was trained for chat, if chat is wanted",
        )
    elif inside is None:
        yield warning(
            "chat-template-beside",
            f"the chat template is in {', '.join(beside)} only",
            "transformers 4.51 reads it there; a page of Bedrock's documentation asks for it in tokenizer_config.json",
            "put it into the base's tokenizer_config.json as well, the same to the byte",
        )


def _template_of(text: str) -> str:
    try:
        content = parse(text.encode())
    except ValueError:
        return text
    template = content.get("chat_template") if isinstance(content, dict) else None
    return template if isinstance(template, str) else text


def _tokens(tokenizer: Mapping[str, Any], settings: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Finding]:
    model = tokenizer.get("model")
    vocabulary = model.get("vocab") if isinstance(model, Mapping) else None
    ids: dict[str, int] = {}
    odd: list[str] = []
    if isinstance(vocabulary, Mapping):
        ids.update(vocabulary)
    elif isinstance(vocabulary, list):  # a unigram model: [piece, score] by number
        whole = [number for number, piece in enumerate(vocabulary) if isinstance(piece, list) and piece]
        ids.update({str(vocabulary[number][0]): number for number in whole})
        if len(whole) < len(vocabulary):
            odd.append("a piece of the vocabulary")
    more = tokenizer.get("added_tokens") or []
    for added in more if isinstance(more, list) else [more]:
        if isinstance(added, Mapping) and isinstance(added.get("content"), str):
            ids[added["content"]] = added.get("id")  # type: ignore[assignment]  # judged below, with the others
        else:
            odd.append("an added token without content")
    odd += [token for token, number in ids.items() if type(number) is not int or number < 0]
    if odd:
        yield error(
            "tokenizer",
            f"tokenizer.json holds {len(odd)} tokens without a number of their own: {some(odd)}",
            "the reader could not load it",
            _FROM_THE_ORIGINAL,
        )
        return
    if not ids:
        yield error("tokenizer", "tokenizer.json holds no vocabulary", "no text could be read", _FROM_THE_ORIGINAL)
        return
    rows = config.get("vocab_size")
    beyond = [token for token, number in ids.items() if isinstance(rows, int) and number >= rows]
    if beyond:
        yield error(
            "vocabulary",
            f"{len(beyond)} tokens have numbers past vocab_size {rows}: {some(beyond)}",
            "the embedding has no row for them: a request with one would end the server's step",
            "take tokenizer and config.json from the same snapshot",
        )
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        given = settings.get(name)
        token = given.get("content") if isinstance(given, Mapping) else given
        if isinstance(token, str) and token not in ids:
            yield error(
                "special-token",
                f"{name} is {token!r}, and tokenizer.json does not have it",
                "the reader would add it as a new token past the embedding's rows",
                _FROM_THE_ORIGINAL,
            )
