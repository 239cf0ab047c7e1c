"""Merged weights that Bedrock Custom Model Import reads as they are meant."""
