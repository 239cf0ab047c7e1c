"""A local stand-in for a vLLM server, where vLLM cannot be installed, and the upstream of the benchmarks.

What is real: OpenAI's wire (paths, bodies, server-sent events, error objects), a batch that slows as it fills, a queue
beyond it, the load series of vLLM's metrics page, generation that ends when the client goes.
Adapters are loaded and unloaded by name, with vLLM's answers and refusals.
What is simulated: the model. Its text comes from the Bedrock sandbox's built-in generator, and every answer says so; an
adapter's weights change nothing about it.
"""
