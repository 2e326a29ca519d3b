"""Finding numbers and putting them back, without a server."""

from __future__ import annotations

import pytest

from rom_masking.masks import Masks, Unmasking

CPF, CNPJ, LETTERED = "529.982.247-25", "16.727.230/0001-97", "12.ABC.345/01DE-35"


@pytest.mark.parametrize(
    "text",
    [
        CPF,
        "52998224725",
        "529 982 247 25",
        "529.982.247\u201325",
        "CPF52998224725",
        "cpf_529.982.247-25.",
        "\uff15\uff12\uff19\uff19\uff18\uff12\uff12\uff14\uff17\uff12\uff15",
        CNPJ,
        "16727230000197",
        "16.727.230/0001-97,52998224725/39053344705",
        LETTERED,
        "12abc34501de35",
    ],
)
def test_numbers_are_hidden_however_they_are_written_and_come_back_as_they_were(text: str) -> None:
    """With points or without, between letters, in other digits; the reader sees what was written."""
    masks = Masks(b"key")
    hidden = masks.hide(f"O número é {text} mesmo")
    assert masks.known
    assert not any(written in hidden for written in masks.known.values())
    assert masks.show(hidden) == f"O número é {text} mesmo"


@pytest.mark.parametrize(
    "text", ["529.982.247-26", "111.222.333-44", "0001234-08.2023.8.26.0100", "R$ 52.998.224,72", "152998224725"]
)
def test_other_numbers_stay(text: str) -> None:
    """Wrong check digits, a case number, an amount, a longer number."""
    assert Masks(b"key").hide(text) == text


def test_one_number_has_one_mask() -> None:
    """Written in another way, in another turn, on another instance; with another key it has another one."""
    first, again, other = Masks(b"key"), Masks(b"key"), Masks(b"other")
    mask = first.hide(CPF)
    assert {first.hide("52998224725"), again.hide("529 982 247-25")} == {mask}
    assert other.hide(CPF) != mask
    assert first.show(mask) == CPF


def test_all_texts_of_a_request_are_hidden_and_what_must_stay_stays() -> None:
    """Inputs and results of tools with their keys and bare numbers; not ids, what a model signed, or files."""
    request = {
        "modelId": "model",
        "messages": [
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": CPF, "signature": "s"}}},
                    {"toolUse": {"toolUseId": "52998224725", "name": "find", "input": {"name": CPF, "n": 52998224725}}},
                ],
            },
            {
                "role": "user",
                "content": [{"toolResult": {"toolUseId": "1", "content": [{"json": {CPF: [CNPJ, 1, True]}}]}}],
            },
            {"role": "user", "content": [{"document": {"name": CPF, "format": "pdf", "source": {"bytes": b"%PDF"}}}]},
        ],
    }
    masks = Masks(b"key")
    cpf, cnpj = masks.hide(CPF), masks.hide(CNPJ)
    hidden = masks.hide_in(request)
    used = hidden["messages"][0]["content"][1]["toolUse"]
    assert used == {"toolUseId": "52998224725", "name": "find", "input": {"name": cpf, "n": cpf}}
    assert hidden["messages"][0]["content"][0] == request["messages"][0]["content"][0]  # type: ignore[index]
    assert hidden["messages"][1]["content"][0]["toolResult"]["content"] == [{"json": {cpf: [cnpj, 1, True]}}]
    assert hidden["messages"][2] == request["messages"][2]
    assert masks.show_in(used["input"]) == {"name": CPF, "n": CPF}


def test_a_mask_that_is_cut_anywhere_comes_back() -> None:
    """In two pieces at each place, and in single characters; what only looks like one is not lost."""
    masks = Masks(b"key")
    mask = masks.hide(CPF)
    text = f"CPF-: {mask}, C{mask[:7]} e CP"
    shown = f"CPF-: {CPF}, C{mask[:7]} e CP"
    for cut in range(len(text) + 1):
        unmasking = Unmasking(masks)
        assert unmasking.feed(text[:cut]) + unmasking.feed(text[cut:]) + unmasking.close() == shown
    unmasking = Unmasking(masks)
    assert "".join(map(unmasking.feed, text)) + unmasking.close() == shown
    unmasking = Unmasking(masks)
    assert unmasking.feed("Sim, ") == "Sim, "
