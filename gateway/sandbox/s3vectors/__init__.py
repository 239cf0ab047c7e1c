"""A local stand-in for Amazon S3 Vectors: the true wire, in memory. `crossover sandbox bedrock` serves it on its port.

What is real: paths, shapes and their ranges (botocore's own service model), error names, statuses and, where someone
has told what AWS answers, their texts; the filter grammar; the limits; exact distances.
What is simulated: storage is this process's memory, the search is exhaustive where AWS's is approximate, and how deep a
CLASSIC index looks. What is believed and was not verified: docs/sandbox-s3vectors.md.
"""
