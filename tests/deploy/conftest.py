"""Fixtures of these tests."""

from tests.prometheus_server import start_prometheus

__all__ = ["start_prometheus"]
