"""From the registry to traffic: load an immutable name into the model server, warm it up, move the gateway's alias, let
the old one drain, unload it. What moves traffic is one step of the gateway's; before it nothing is lost."""

from trainer.publish.errors import PublishError
from trainer.publish.place import Place, find_place
from trainer.publish.publishing import Published, promote, publish
from trainer.publish.rollback import RolledBack, rollback
from trainer.publish.sync import Synced, sync

__all__ = [
    "Place",
    "PublishError",
    "Published",
    "RolledBack",
    "Synced",
    "find_place",
    "promote",
    "publish",
    "rollback",
    "sync",
]
