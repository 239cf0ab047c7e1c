"""The quality gate: frozen questions for every generator, two judges, and a verdict that knows its own noise."""
