"""`crossover adapter ...`: the commands of the trainer's parts, put together. Imports lightly."""

from __future__ import annotations

import typer

from trainer.data.cli import check
from trainer.estimate.cli import estimate
from trainer.export.cli import export
from trainer.gate.cli import gate
from trainer.gate.experiment.cli import experiment
from trainer.publish.cli import promote, publish, rollback, status, sync
from trainer.registry.cli import import_, list_adapters, show
from trainer.retrieval.cli import register as join_retrieval
from trainer.train.cli import train

adapter = typer.Typer(help="LoRA adapters: from data to traffic, and back.", no_args_is_help=True)
adapter.command()(check)
adapter.command()(estimate)
adapter.command()(train)
adapter.command(name="list")(list_adapters)
adapter.command()(show)
adapter.command(name="import")(import_)
adapter.command()(export)
adapter.command()(gate)
adapter.command()(publish)
adapter.command()(promote)
adapter.command()(rollback)
adapter.command()(status)
adapter.command()(sync)
join_retrieval(adapter)
adapter.command()(experiment)
