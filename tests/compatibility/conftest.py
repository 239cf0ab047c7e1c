"""One gateway for all that only asks: in front of a peer that knows every operation."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest

from gateway.sandbox.hosting import in_thread
from tests.compatibility.shapes import in_vllms_shapes
from tests.gateway_process import API_KEY, GatewayProcess
from tests.scripted_peer import Peer, scripted_peer
from tests.server.fleets import box


@pytest.fixture(scope="package")
def peer() -> Iterator[Peer]:
    with in_thread(lambda: scripted_peer(in_vllms_shapes), "peer") as running:
        yield running


@pytest.fixture(scope="package")
def gateway(peer: Peer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    served = {
        name: {"served_by": [{"backend": "box", "model": model}]}
        for name, model in (("tuned", "up/stream"), ("breaks", "breaks"), ("fails", "fails"))
    }
    served["vectors"] = {"served_by": [{"backend": "box", "model": "up/stream", "embeddings": True}]}  # type: ignore[list-item]
    policy = {"backends": {"box": box(peer.url)}, "aliases": served}
    running = GatewayProcess(policy, tmp_path_factory.mktemp("compatibility"))
    yield running
    running.close()


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as made:
        yield made


@pytest.fixture
def claude(gateway: GatewayProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.root, api_key=API_KEY, max_retries=0) as made:
        yield made
