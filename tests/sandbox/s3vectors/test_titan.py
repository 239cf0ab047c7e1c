"""Titan Text Embeddings v2 through InvokeModel, as boto3 sees it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway.sandbox.bedrock.embeddings import embedding
from tests.sandbox.s3vectors.conftest import TITAN, Place, Running


@pytest.fixture(scope="module")
def runtime(sandbox: Running) -> Any:
    return sandbox.client("bedrock-runtime")


def invoke(runtime: Any, model: str = TITAN, **body: Any) -> dict[str, Any]:
    answer = runtime.invoke_model(modelId=model, body=json.dumps(body))
    return json.loads(answer["body"].read())


def near(a: str, b: str) -> float:
    return sum(x * y for x, y in zip(embedding(a, 1024, True), embedding(b, 1024, True), strict=True))


def test_a_text_gets_a_vector_of_length_one_and_its_count_of_tokens(runtime: Any) -> None:
    answer = invoke(runtime, inputText="Where is the key?")
    assert set(answer) == {"embedding", "embeddingsByType", "inputTextTokenCount"}
    assert len(answer["embedding"]) == 1024
    assert math.isclose(math.hypot(*answer["embedding"]), 1, rel_tol=1e-6)
    assert answer["embeddingsByType"] == {"float": answer["embedding"]}
    assert answer["inputTextTokenCount"] == 5
    assert answer == invoke(
        runtime, f"arn:aws:bedrock:us-east-1::foundation-model/{TITAN}", inputText="Where is the key?"
    )


@pytest.mark.parametrize("dimensions", [256, 512, 1024])
def test_dimensions_and_length_are_as_asked(runtime: Any, dimensions: int) -> None:
    text = "The handbook says that travel by train is booked on Monday."
    plain = invoke(runtime, inputText=text, dimensions=dimensions, normalize=False)["embedding"]
    assert len(plain) == dimensions
    length = math.hypot(*plain)
    assert length > 1.5
    unit = invoke(runtime, inputText=text, dimensions=dimensions)["embedding"]
    assert all(math.isclose(a / length, b, abs_tol=1e-6) for a, b in zip(plain, unit, strict=True))


def test_binary_is_the_signs_and_floats_are_left_out_when_not_asked_for(runtime: Any) -> None:
    both = invoke(runtime, inputText="one", embeddingTypes=["float", "binary"])
    assert both["embeddingsByType"]["binary"] == [int(value > 0) for value in both["embedding"]]
    binary = invoke(runtime, inputText="one", embeddingTypes=["binary"])
    assert "embedding" not in binary
    assert list(binary["embeddingsByType"]) == ["binary"]


def test_texts_that_share_words_are_near_and_order_by_how_many() -> None:
    question = "When is travel by train booked?"
    close = near(question, "Travel by train is booked on Monday.")
    some = near(question, "The train is late.")
    assert close > some > abs(near(question, "Lamps need new bulbs."))
    assert near("booking", "booked") > 0.1
    assert math.isclose(near("same", "Same"), 1, rel_tol=1e-6)
    assert abs(near("?", "!")) < 0.9


def test_the_answer_says_that_it_is_no_models(runtime: Any) -> None:
    headers = runtime.invoke_model(modelId=TITAN, body='{"inputText": "a b"}')["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-sandbox-text-source"] == "hashed-words"
    assert headers["x-amzn-bedrock-input-token-count"] == "2"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "required key [inputText] not found"),
        ({"inputText": ""}, "expected minLength: 1, actual: 0"),
        ({"inputText": "x" * 50_001}, "expected maxLength: 50000, actual: 50001"),
        ({"inputText": "x " * 8193}, "Too many input tokens. Max input tokens: 8192, request input token count: 8193"),
        ({"inputText": 5}, "#/inputText: expected type: String, found: Integer"),
        ({"inputText": ["a"]}, "#/inputText: expected type: String, found: JSONArray"),
        ({"inputText": None}, "#/inputText: expected type: String, found: Null"),
        ({"inputText": "x", "dimensions": 384}, "#/dimensions: 384 is not a valid enum value"),
        ({"inputText": "x", "dimensions": "256"}, "#/dimensions: expected type: Integer, found: String"),
        ({"inputText": "x", "normalize": 1}, "#/normalize: expected type: Boolean, found: Integer"),
        ({"inputText": "x", "embeddingTypes": "float"}, "#/embeddingTypes: expected type: JSONArray"),
        ({"inputText": "x", "embeddingTypes": []}, "minimum item count: 1"),
        ({"inputText": "x", "embeddingTypes": ["int8"]}, "#/embeddingTypes/0: int8 is not a valid enum value"),
        ({"inputText": "x", "embeddingTypes": [["float"]]}, "is not a valid enum value"),
        ({"inputText": "x", "inputType": "query"}, "extraneous key [inputType] is not permitted"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_body_is_a_validation_exception_naming_it(runtime: Any, body: dict[str, Any], told: str) -> None:
    with pytest.raises(runtime.exceptions.ValidationException) as caught:
        invoke(runtime, **body)
    assert told in caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_an_embedding_model_neither_streams_nor_converses(runtime: Any) -> None:
    with pytest.raises(runtime.exceptions.ValidationException, match="unsupported for streaming"):
        runtime.invoke_model_with_response_stream(modelId=TITAN, body='{"inputText": "x"}')
    with pytest.raises(runtime.exceptions.ValidationException, match="doesn't support the model"):
        runtime.converse(modelId=TITAN, messages=[{"role": "user", "content": [{"text": "x"}]}])


def test_input_tokens_are_billed_and_refused_texts_are_not(start: Callable[..., Running]) -> None:
    running = start()
    runtime = running.client("bedrock-runtime")
    for _ in range(3):
        invoke(runtime, inputText="a b c d")
    with pytest.raises(ClientError):
        invoke(runtime, inputText="")
    bill = running.admin("GET", "/bill?calls=1")["models"][TITAN]
    assert bill["kind"] == "embedding"
    # 12 tokens at $0.02 per 1M: 240 nano-dollars
    assert bill["completed"] == {"calls": 3, "input_tokens": 12, "output_tokens": 0, "nanousd": 240}
    assert bill["total_nanousd"] == 240
    assert running.admin("GET", "/state")["models"][TITAN]["outcomes"] == {"completed": 3, "ValidationException": 1}


def test_injected_faults_hit_titan_too(start: Callable[..., Running]) -> None:
    running = start(faults=[{"kind": "throttle"}, {"kind": "garbage"}])
    runtime = running.client("bedrock-runtime")
    with pytest.raises(runtime.exceptions.ThrottlingException):
        invoke(runtime, inputText="x")
    with pytest.raises(json.JSONDecodeError):
        invoke(runtime, inputText="x")
    assert invoke(runtime, inputText="x")["inputTextTokenCount"] == 1
    assert running.admin("GET", "/bill")["models"][TITAN]["broken"]["calls"] == 1


def test_a_question_finds_its_page_through_titan_and_s3_vectors(runtime: Any, make: Callable[..., Place]) -> None:
    pages = {
        "travel": "Travel by train is booked at least three days ahead.",
        "lamps": "Broken lamps are reported to the front desk.",
        "leave": "Annual leave is agreed with the head of the department.",
    }
    place = make(dimension=256, metadataConfiguration={"nonFilterableMetadataKeys": ["text"]})
    place.put(
        {key: invoke(runtime, inputText=text, dimensions=256)["embedding"] for key, text in pages.items()},
        {key: {"text": text, "edition": 2026} for key, text in pages.items()},
    )
    question = invoke(runtime, inputText="Who agrees to annual leave?", dimensions=256)["embedding"]
    [hit] = place.query(
        topK=1, queryVector={"float32": question}, filter={"edition": 2026}, returnMetadata=True, returnDistance=True
    )["vectors"]
    assert hit["key"] == "leave"
    assert hit["metadata"]["text"] == pages["leave"]
    assert 0 < hit["distance"] < 1
