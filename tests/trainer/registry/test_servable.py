"""An adapter that vLLM could not serve is known by its settings, before any training."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.registry import servable

PLAIN = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj"], "bias": "none"}


@pytest.mark.parametrize(
    "also",
    [
        {},
        {"use_rslora": True},
        {"alpha_pattern": {"q_proj": 8}},
        {"rank_pattern": {"q_proj": 8}},
        {"init_lora_weights": "gaussian"},
        {"modules_to_save": None, "use_dora": False, "lora_dropout": 0.1},
    ],
)
def test_what_the_server_takes(also: dict[str, Any]) -> None:
    assert servable({**PLAIN, **also}, 16) == []


@pytest.mark.parametrize(
    ("also", "says"),
    [
        ({"r": 32}, "r is 32 and vLLM's --max-lora-rank is 16"),
        ({"rank_pattern": {"v_proj": 64}}, r"rank_pattern\[v_proj\] is 64"),
        ({"r": 0}, "whole number above 0"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is lm_head"),
        ({"use_dora": True}, "DoRA"),
        ({"bias": "lora_only"}, "bias is 'lora_only'"),
        ({"lora_bias": True}, "lora_bias"),
        ({"init_lora_weights": "pissa"}, "changes the base's weights"),
        ({"fan_in_fan_out": True}, "wrong way round"),
        ({"target_modules": ["q_proj", "lm_head"]}, "target_modules holds lm_head"),
        ({"peft_type": "IA3"}, "LORA adapters only"),
    ],
)
def test_what_it_does_not(also: dict[str, Any], says: str) -> None:
    import re

    problems = servable({**PLAIN, **also}, 16)
    assert len(problems) == 1
    assert re.search(says, problems[0])


def test_every_reason_is_given_at_once() -> None:
    assert len(servable({**PLAIN, "r": 64, "use_dora": True, "bias": "all"}, 16)) == 3
