"""The quality gate: the same frozen questions to every generator, two judges, and a verdict that knows its own noise."""
