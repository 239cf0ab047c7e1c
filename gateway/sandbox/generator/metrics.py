"""The metrics page, with vLLM's names for what the box has."""

from __future__ import annotations

from gateway.sandbox.generator.box import Box


def page(box: Box) -> bytes:
    """Prometheus text. As on a real server, one engine, labelled with the first model's name."""
    model = box.settings.models[0].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    labels = f'engine="0",model_name="{model}"'
    lines = ["# SIMULATED: a generator with vLLM's series names; no model runs here."]
    for name, kind, text, value in (
        ("num_requests_running", "gauge", "Requests in the batch.", box.running),
        ("num_requests_waiting", "gauge", "Requests in the line before it.", box.waiting),
        ("kv_cache_usage_perc", "gauge", "KV-cache use, 1 is full.", box.kv_cache_usage),
        ("prompt_tokens_total", "counter", "Prompt tokens read.", box.prompt_tokens),
        ("generation_tokens_total", "counter", "Tokens generated.", box.generation_tokens),
    ):
        family = name.removesuffix("_total")
        lines += [
            f"# HELP vllm:{family} {text}",
            f"# TYPE vllm:{family} {kind}",
            f"vllm:{name}{{{labels}}} {float(value)}",
        ]
    lines += ["# HELP vllm:request_success Requests ended, by how.", "# TYPE vllm:request_success counter"]
    lines += [
        f'vllm:request_success_total{{{labels},finished_reason="{reason}"}} {float(count)}'
        for reason, count in box.finished.items()
    ]
    return ("\n".join(lines) + "\n").encode()
