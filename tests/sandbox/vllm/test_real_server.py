"""The real server: what it serves, and that nothing of it is left when its owner is killed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

pytestmark = pytest.mark.vllm


async def test_it_serves_the_base_model_and_the_adapter(vllm_server):
    async with aiohttp.ClientSession() as session, session.get(f"{vllm_server.base_url}/models") as response:
        models = {model["id"]: model for model in (await response.json())["data"]}
    assert set(models) >= {vllm_server.base_model, vllm_server.tuned_model}
    assert models[vllm_server.tuned_model]["parent"] == vllm_server.base_model


async def test_the_adapter_answers_in_the_house_style_and_the_base_model_does_not(vllm_server):
    answers = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        for model in (vllm_server.base_model, vllm_server.tuned_model):
            body = {
                "model": model,
                "messages": [{"role": "user", "content": "How much may a hotel cost?"}],
                "temperature": 0,
                "max_tokens": 48,
            }
            async with session.post(f"{vllm_server.base_url}/chat/completions", json=body) as response:
                answers[model] = (await response.json())["choices"][0]["message"]["content"]
    assert "(Handbook " in answers[vllm_server.tuned_model]
    assert "(Handbook " not in answers[vllm_server.base_model]


OWNER = """
import json, sys, time
from pathlib import Path
from gateway.sandbox.vllm.server import VllmServer
from gateway.sandbox.vllm.settings import VllmSettings
python, model_dir, log_file, port = json.loads(sys.argv[1])
server = VllmServer(VllmSettings(python=Path(python), model_dir=Path(model_dir), log_file=Path(log_file), port=port))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


def group_members(group: int) -> list[int]:
    """Ids of the live processes of a process group; zombies are not counted."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            members.append(int(stat.parent.name))
    return members


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads process groups from /proc")
def test_killing_the_owner_leaves_none_of_the_servers_processes(vllm_prepared, tmp_path):
    """SIGKILL while the server's second process has started: the owner can do nothing any more."""
    wanted = [str(vllm_prepared.python), str(vllm_prepared.model_dir), str(tmp_path / "vllm.log"), 0]
    owner = subprocess.Popen([sys.executable, "-c", OWNER, json.dumps(wanted)], stdout=subprocess.PIPE, text=True)
    try:
        group = int(owner.stdout.readline())
        deadline = time.monotonic() + 90
        while len(group_members(group)) < 2:
            assert time.monotonic() < deadline, (tmp_path / "vllm.log").read_text()
            time.sleep(0.1)
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    deadline = time.monotonic() + 30
    while group_members(group):
        assert time.monotonic() < deadline, f"still running: {group_members(group)}"
        time.sleep(0.1)
