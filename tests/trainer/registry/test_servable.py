"""An adapter that vLLM could not serve is known by its settings, before any training."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.registry.servable import servable

PLAIN = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj"], "bias": "none"}


@pytest.mark.parametrize(
    "also",
    [
        {},
        {"use_rslora": True},
        {"alpha_pattern": {"q_proj": 8}},
        {"rank_pattern": {"q_proj": 8}},
        {"init_lora_weights": "gaussian"},
        {
            "target_modules": "all-linear",
            "megatron_core": "megatron.core",
            "qalora_group_size": 16,
            "kasa_config": None,
        },
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
        ({"init_lora_weights": "lora_ga"}, "changes the base's weights"),
        ({"init_lora_weights": 5}, "init_lora_weights is 5"),
        ({"target_modules": ".*"}, r"the pattern '\.\*'"),
        ({"target_modules": 5}, "target_modules is 5"),
        ({"target_modules": ["q_proj", 5]}, "must be a list"),
        ({"rank_pattern": [1]}, "rank_pattern is"),
        ({"rank_pattern": {"(": 8}}, "no module's name or pattern"),
        ({"alpha_pattern": {"q_proj": "8"}}, "must be a number above 0"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan"),
        ({"lora_alpha": 10**400}, "lora_alpha is"),
        ({"r": True}, "r is True"),
        ({"use_rslora": "no"}, "true or false"),
        ({"modules_to_save": 5}, "modules_to_save is 5"),
        ({"target_parameters": ["experts.w1"]}, "target_parameters is set"),
        ({"arrow_config": {"top_k": 2}}, "arrow_config is set"),
        ({"monteclora_config": {"n": 1}}, "monteclora_config is set"),
        ({"velora_config": {"n": 1}}, "velora_config is set"),
        ({"megatron_config": {"n": 1}}, "megatron_config is set"),
        ({"use_newest": True}, "use_newest is set: what it does is not known"),
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
