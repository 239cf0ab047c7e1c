"""The policy: one YAML file that says what there is, what it costs and what applications may ask for."""

from gateway.policy.load import load_policy, parse_policy
from gateway.policy.problem import PolicyError, Problem
from gateway.policy.schema import Policy

__all__ = ["Policy", "PolicyError", "Problem", "load_policy", "parse_policy"]
