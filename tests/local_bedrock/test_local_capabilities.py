"""What each model of the local Bedrock can take at all, and that a test can change it."""

from __future__ import annotations

import json
from typing import Any, Protocol

import pytest
from botocore.exceptions import ClientError

from local_bedrock import LocalBedrock
from local_bedrock.__main__ import main
from local_bedrock.capabilities import check_schema
from local_bedrock.models import KNOWN_MODELS, ModelInfo, read_change
from local_bedrock.validation import validate

SONNET_45 = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
SONNET_46 = "global.anthropic.claude-sonnet-4-6"
SONNET_55 = "global.anthropic.claude-sonnet-5-5"
OPUS_55 = "global.anthropic.claude-opus-5-5"
HAIKU_55 = "global.anthropic.claude-haiku-5-5"
MICRO = "amazon.nova-micro-v1:0"
QUESTION = {"role": "user", "content": [{"text": "Olá"}]}
CLOSED: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


class Client(Protocol):
    """The fixture `client`."""

    def converse(self, text: str = "", model: str = "", **more: Any) -> dict[str, Any]:
        """One user message to Converse."""


def refused(model: str, *said: dict[str, Any], **more: Any) -> str:
    """The message with which the model refuses, "" if it does not."""
    refusal = validate(model, "Converse", {"messages": [QUESTION, *said], **more})
    return refusal.message if refusal else ""


def asking_for(schema: Any) -> dict[str, Any]:
    """outputConfig with this schema."""
    structure = {"jsonSchema": {"schema": json.dumps(schema)}}
    return {"outputConfig": {"textFormat": {"type": "json_schema", "structure": structure}}}


@pytest.mark.parametrize(
    ("model", "taken"), [(SONNET_45, True), (SONNET_46, False), (SONNET_55, False), (MICRO, False)]
)
def test_some_models_go_on_from_an_answer_that_was_begun(model: str, *, taken: bool) -> None:
    """Those until 4.5; the others want the last word to be the user's."""
    begun = {"role": "assistant", "content": [{"text": "{"}]}
    assert ("prefill" not in refused(model, begun)) is taken


def test_an_answer_that_was_begun_ends_with_a_word_and_without_thinking() -> None:
    """Blanks at its end and a thinking budget are refused."""
    assert "trailing whitespace" in refused(SONNET_45, {"role": "assistant", "content": [{"text": "So "}]})
    budget = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    begun = {"role": "assistant", "content": [{"text": "So"}]}
    assert refused(SONNET_45, begun, additionalModelRequestFields=budget)


@pytest.mark.parametrize(
    "block",
    [
        {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
        {"document": {"name": "a", "format": "pdf", "source": {"bytes": "AAAA"}}},
    ],
)
def test_a_model_without_eyes_refuses_media(block: dict[str, Any]) -> None:
    """Images and documents, where they stand beside text."""
    content = {"role": "user", "content": [{"text": "Veja."}, block]}
    body = {"messages": [content]}
    assert validate(MICRO, "Converse", body) is not None
    assert validate(SONNET_45, "Converse", body) is None


def test_a_prompt_longer_than_the_context_is_refused() -> None:
    """By the number of its tokens, four characters each here."""
    long = {"role": "user", "content": [{"text": "a" * 900_000}]}
    refusal = validate(SONNET_45, "Converse", {"messages": [long]})
    assert refusal is not None
    assert "prompt is too long" in refusal.message
    assert validate(SONNET_46, "Converse", {"messages": [long]}) is None


@pytest.mark.parametrize(("model", "taken"), [(SONNET_45, False), (SONNET_46, True), (HAIKU_55, True), (MICRO, False)])
def test_effort_is_for_models_that_decide_how_much_they_think(model: str, *, taken: bool) -> None:
    """A word that is no effort is refused by all."""
    assert (refused(model, outputConfig={"effort": "low"}) == "") is taken
    assert refused(model, outputConfig={"effort": "enormous"})


@pytest.mark.parametrize(("model", "taken"), [(SONNET_45, True), (OPUS_55, True), (MICRO, False)])
def test_a_schema_for_the_text_is_taken_by_some(model: str, *, taken: bool) -> None:
    """Claude from 4.5 on."""
    assert (refused(model, **asking_for(CLOSED)) == "") is taken


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ([], "must be an object"),
        ({"type": "object"}, "must be explicitly set to false"),
        ({**CLOSED, "properties": {"a": {"type": "integer", "minimum": 1}}}, "minimum are not supported"),
        ({**CLOSED, "properties": {"a": {"type": "array", "minItems": 2}}}, "'minItems' values other than"),
        ({**CLOSED, "properties": {"a": {"enum": [{}]}}}, "Complex types"),
        ({**CLOSED, "properties": {"a": {"type": "string", "format": "phone"}}}, "the format phone"),
        ({**CLOSED, "properties": {"a": {"$ref": "https://example.org/a"}}}, "External references"),
        ({**CLOSED, "properties": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}, "allOf with $ref"),
        ({**CLOSED, "properties": {"a": {"$ref": "#"}}}, "Recursive"),
        (
            {**CLOSED, "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}},
            "Recurs",
        ),
        ({**CLOSED, "properties": {f"a{n}": {} for n in range(25)}}, "too many optional"),
        (
            {
                **CLOSED,
                "properties": {f"a{n}": {"anyOf": [{}]} for n in range(17)},
                "required": [f"a{n}" for n in range(17)],
            },
            "union",
        ),
    ],
)
def test_schemas_have_limits(schema: Any, words: str) -> None:
    """Those of structured outputs: closed objects, no constraints on values, no recursion, not too many choices."""
    assert words in refused(SONNET_45, **asking_for(schema))
    assert any(words in problem for problem in check_schema(json.dumps(schema)))


def test_what_a_model_refuses_can_be_changed(bedrock_local: LocalBedrock, client: Client) -> None:
    """For one model at a time, while the server runs; other models stay as they are."""
    warm = {"inferenceConfig": {"temperature": 0.5}}
    client.converse("Olá", SONNET_45, **warm)
    bedrock_local.change_model("anthropic.claude-sonnet-4-5-20250929-v1:0", sampling=False)
    with pytest.raises(ClientError, match="temperature"):
        client.converse("Olá", SONNET_45, **warm)
    client.converse("Olá", SONNET_46, **warm)
    bedrock_local.change_model("anthropic.claude-sonnet-5-5", sampling=True, forced_tool_choice=True)
    client.converse("Olá", SONNET_55, **warm)


def test_only_what_there_is_can_be_changed(bedrock_local: LocalBedrock) -> None:
    """Neither a model that is not served nor a field that no model has."""
    with pytest.raises(LookupError, match="claude-9"):
        bedrock_local.change_model("claude-9", sampling=False)
    with pytest.raises(TypeError):
        bedrock_local.change_model("anthropic.claude-sonnet-4-6", samplings=False)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("a:sampling=false,prefill=true", ("a", {"sampling": False, "prefill": True})),
        ("a-v1:0:max_tokens=5,cache_minimum=none", ("a-v1:0", {"max_tokens": 5, "cache_minimum": None})),
        ("a:thinking=adaptive+disabled", ("a", {"thinking": ("adaptive", "disabled")})),
    ],
)
def test_a_command_line_says_what_a_model_refuses(text: str, changes: Any) -> None:
    """By the fields of ModelInfo."""
    assert read_change(text) == changes


@pytest.mark.parametrize(
    "text", ["", "a", "a:", ":sampling=false", "a:sampling", "a:model_id=b", "a:sampling=5", "a:max_tokens=x"]
)
def test_a_command_line_that_makes_no_sense_is_refused(text: str) -> None:
    """With the fields that there are, or the value that does not fit."""
    with pytest.raises(ValueError, match=r"field=value|cannot be"):
        read_change(text)
    assert main(["--model", text]) == 2


def test_a_command_line_names_a_model_that_is_served() -> None:
    """Another one would change nothing."""
    assert main(["--port", "0", "--model", "claude-9:sampling=false"]) == 2


THINKING = [model for model in KNOWN_MODELS if model.thinks]


@pytest.mark.parametrize("model", THINKING, ids=lambda model: model.model_id)
def test_the_newest_think_without_being_asked(client: Client, model: ModelInfo) -> None:
    """Signed, with an empty text; told not to, those that can be told do not."""
    name = f"global.{model.model_id}"
    first = client.converse("Olá", name)["output"]["message"]["content"][0]
    assert first["reasoningContent"]["reasoningText"]["text"] == ""
    assert first["reasoningContent"]["reasoningText"]["signature"]
    if "disabled" in (model.thinking or ()):
        off = {"additionalModelRequestFields": {"thinking": {"type": "disabled"}}}
        assert "text" in client.converse("Olá", name, **off)["output"]["message"]["content"][0]
