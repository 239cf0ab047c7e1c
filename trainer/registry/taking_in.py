"""A finished training run becomes a version of the registry."""

from __future__ import annotations

from trainer.registry.adapter_files import WEIGHTS
from trainer.registry.lineage import Data, Lineage, base_of
from trainer.registry.registry import Registry
from trainer.registry.version import Version
from trainer.train.finished import FinishedRun


def take_in(registry: Registry, run: FinishedRun, *, hash_weights: bool = True) -> Version:
    """The next version of the run's adapter; the one there already is, when these very weights were taken in before.

    Raises RegistryError, and OSError.
    """
    for version in reversed(registry.versions(run.name)):
        if registry.lineage(version).weights_sha256 == run.record.adapter["files"][WEIGHTS]:
            return version
    made = Lineage(
        origin="trained",
        base=base_of(run.base, hash_weights=hash_weights),
        data=Data(**run.data),
        settings=run.settings,
        provenance=run.provenance,
        run=run.run,
        versions=run.versions,
    )
    return registry.add(run.name, run.adapter, made, run.files)
