"""The training run: settings and rows in, an adapter with its record out. `loop.py` reads from top to bottom."""
