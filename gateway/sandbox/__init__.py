"""Local stand-ins that speak the real wire, for the demo and the tests. Nothing here reaches a cloud."""
