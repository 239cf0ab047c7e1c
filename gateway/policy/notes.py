"""What a sound policy leaves out that its owner may have meant: said when it is checked and when it is served."""

from __future__ import annotations

from gateway.policy.schema import Policy


def notes(policy: Policy) -> list[str]:
    """One sentence each; empty when there is nothing to say. None of them is an error."""
    found = []
    if not policy.auth.keys and not policy.auth.open:
        found.append("No API key is in the policy (auth.keys), and auth.open is not set: nobody can send a request.")
    if not policy.auth.admin_keys:
        found.append("No admin key is in the policy (auth.admin_keys): the /admin pages are closed to everybody.")
    if policy.ledger.path is None:
        found.append("No ledger (ledger.path): what is served is counted in the metrics, and kept nowhere.")
    return found
