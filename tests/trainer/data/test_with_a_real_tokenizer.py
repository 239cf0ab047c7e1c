"""Rendering with SmolLM2's own tokenizer is what the real vLLM server does; and the doctor as a command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.sandbox.vllm.prepare import Prepared
from tests.vllm_fixture import RunningVllm
from trainer.environment import environment

SCRIPT = Path(__file__).parents[1] / "in_training" / "render_rows.py"
CHECK = "import typer; from trainer.data.cli import check; typer.run(check)"


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


ROWS: list[dict[str, Any]] = [
    {"messages": [user("How many hours is a week?"), assistant("37.5 hours.")]},
    {"messages": [{"role": "system", "content": "Be brief."}, user("Hi\n\n"), assistant("Hello."), user("Ça va ? 😀"),
                  assistant(" Oui.\n\nEt vous ? ")]},
    {"messages": [user("Melts?"), assistant("\n\nIt does.")]},
    {"messages": [user("In code?"), assistant("```python\n    print(1)\n```")]},
    {"prompt": "The week has ", "completion": "37.5 hours."},
    {"prompt": "The week has", "completion": " 37.5 hours."},
]  # fmt: skip


def config(folder: Path, name: str, model: Path, rows: list[dict[str, Any] | str]) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    (folder / f"{name}.jsonl").write_text("\n".join(lines))
    settings = folder / f"{name}.yaml"
    settings.write_text(f"version: 1\nname: {name}\nbase: {{model: {model}}}\ndata: {{train: {name}.jsonl}}\n")
    return settings


@pytest.fixture(scope="module")
def command_and_script(
    vllm_prepared: Prepared, training_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """The command on one set with errors, and one run of the script, side by side: each imports transformers."""
    folder, model = tmp_path_factory.mktemp("rows"), vllm_prepared.model_dir
    rows = folder / "rows.jsonl"
    rows.write_text("\n".join(map(json.dumps, ROWS)))
    good = [{"messages": [user(f"What is {n} and {n}?"), assistant(f"It is {2 * n}.")]} for n in range(40)]
    bad = [*good, {"messages": [user("What is it?"), assistant("It is late.<|im_end|>")]}]
    configs = [
        config(folder, "healthy", model, list(good)),
        config(folder, "unwell", model, list(bad)),
        config(folder, "broken", model, [*good, '{"messages": []}', "nonsense"]),
    ]
    command = subprocess.Popen(
        [sys.executable, "-c", CHECK, "--config", str(configs[1]), "--json", "--python", str(training_python)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    script = subprocess.run(
        [str(training_python), str(SCRIPT), str(model), str(rows), *map(str, configs)],
        capture_output=True, text=True, timeout=100, env=environment(),
    )  # fmt: skip
    out, err = command.communicate(timeout=100)
    assert script.returncode == 0, script.stderr
    done = subprocess.CompletedProcess(command.args, command.returncode, out, err)
    return done, json.loads(script.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def script(command_and_script: tuple[subprocess.CompletedProcess[str], dict[str, Any]]) -> dict[str, Any]:
    return command_and_script[1]


@pytest.mark.vllm
def test_the_prompt_of_a_conversation_is_token_for_token_what_vllm_feeds(
    script: dict[str, Any], vllm_server: RunningVllm
) -> None:
    for chat in script["chats"]:
        asked = {"model": vllm_server.base_model, "messages": chat["messages"][:-1], "add_generation_prompt": True}
        answer = httpx.post(f"{vllm_server.root_url}/tokenize", json=asked, timeout=30).raise_for_status().json()
        assert chat["prompt_ids"] == answer["tokens"]


@pytest.mark.vllm
def test_the_prompt_of_a_completion_is_token_for_token_what_vllm_feeds(
    script: dict[str, Any], vllm_server: RunningVllm
) -> None:
    for pair in script["pairs"]:
        asked = {"model": vllm_server.base_model, "prompt": pair["prompt"]}
        answer = httpx.post(f"{vllm_server.root_url}/tokenize", json=asked, timeout=30).raise_for_status().json()
        assert pair["prompt_ids"] == answer["tokens"]
        assert pair["learned"].endswith("37.5 hours.<|im_end|>")


@pytest.mark.vllm
def test_what_is_learned_is_the_answer_and_the_end_of_its_turn(script: dict[str, Any]) -> None:
    assert script["turn_ends"]
    for chat in script["chats"]:
        assert chat["learned"] == chat["messages"][-1]["content"] + "<|im_end|>"
        assert chat["whole_text"] == chat["text"] + "\n"
        assert chat["ended"]
        assert chat["as_template"]


@pytest.mark.vllm
def test_the_doctor_ends_with_0_for_healthy_rows_1_for_errors_and_2_for_lines_it_cannot_read(
    script: dict[str, Any],
) -> None:
    healthy, unwell, broken = script["checks"]
    assert (healthy["status"], unwell["status"], broken["status"]) == (0, 1, 2)
    assert "error: 1 row with a token of a chat format" in unwell["out"]
    assert "broken.jsonl:41: it has 0 messages" in broken["err"]
    assert "broken.jsonl:42: not JSON" in broken["err"]


@pytest.mark.vllm
def test_the_command_gives_the_report_as_json_and_the_doctors_exit_status(
    command_and_script: tuple[subprocess.CompletedProcess[str], dict[str, Any]],
) -> None:
    command, _ = command_and_script
    assert command.returncode == 1, command.stderr
    report = json.loads(command.stdout)
    assert report["schema"] == 1
    assert report["rows"] + report["held_out_rows"] == 41
    assert [finding["rows"] for finding in report["findings"] if finding["severity"] == "error"] == [[41]]
    assert report["row_tokens"]["histogram"]


def test_mistakes_of_the_settings_are_said_without_the_training_environment(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("version: 1\nname: x\nbase: {model: nowhere}\ndata: {train: nothing.jsonl}\nlora: {rank: 0}\n")
    command = [sys.executable, "-c", CHECK, "--config", str(settings), "--python", "/nowhere/python"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment())
    assert done.returncode == 2
    assert "lora.rank" in done.stderr
    assert "Traceback" not in done.stderr
