"""Own forward and backward pass of Llama-like models, with lean LoRA layers."""
