"""A registry of adapters: immutable versions, where each comes from, and what became of it. No torch needed."""

from trainer.registry.errors import RegistryError
from trainer.registry.events import Event
from trainer.registry.lineage import Base, Data, Lineage, base_of
from trainer.registry.registry import Registry
from trainer.registry.servable import servable
from trainer.registry.state import Serving, State
from trainer.registry.version import Version

__all__ = [
    "Base",
    "Data",
    "Event",
    "Lineage",
    "Registry",
    "RegistryError",
    "Serving",
    "State",
    "Version",
    "base_of",
    "servable",
]
