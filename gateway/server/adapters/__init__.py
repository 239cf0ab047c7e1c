"""Adapters published while the gateway runs: which generation answers, a canary's share, what is loaded, what is kept
over a restart. An alias moves between immutable names; nothing here ever loads a file."""
