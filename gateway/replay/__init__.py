"""Recorded traffic through the production router: simulated backends, simulated clock, the bill, and how low it could
have been. Needs the extra `replay` (numpy); nothing outside this package imports it."""
