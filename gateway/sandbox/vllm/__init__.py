"""The local box without a GPU: vLLM's CPU build serving SmolLM2-135M-Instruct with a LoRA adapter."""
