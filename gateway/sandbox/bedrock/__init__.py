"""A local stand-in for Amazon Bedrock's runtime: the true wire, simulated models, and a bill of its own.

What is real: paths, headers, event-stream framing with its checksums, error names and statuses, body shapes.
What is simulated: the models' state (cold starts, copies, windows), the pace of generation, the money, embeddings, and,
with the built-in generator, the text. `gateway.sandbox.s3vectors` is served beside it, on the same port.
"""
