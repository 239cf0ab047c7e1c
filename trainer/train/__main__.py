"""`python -m trainer.train`: the part of `crossover adapter train` that needs torch. Also under torchrun:

torchrun --nproc-per-node 8 -m trainer.train --config FILE
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def main() -> int:
    """Returns the exit status: 2 for what the settings or the data got wrong, 1 for what failed."""
    from trainer.train.arguments import add_arguments, overrides, wish

    parser = argparse.ArgumentParser(prog="python -m trainer.train", description=__doc__)
    add_arguments(parser)
    given = parser.parse_args()

    from gateway.policy.problem import SettingsError
    from trainer.settings.load import load_settings

    try:
        loaded = load_settings(Path(given.config), overrides(given))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2

    import torch
    from safetensors import SafetensorError

    from trainer.data.doctor.report import DoctorError
    from trainer.data.problem import DataError
    from trainer.model.errors import ModelError
    from trainer.train.checkpoint import CheckpointError
    from trainer.train.distributed import leave, read_group
    from trainer.train.fit import FitError
    from trainer.train.loop import DivergedError, train
    from trainer.train.progress import reporter
    from trainer.train.runs import RunError

    group = read_group()
    report = reporter(first=group.first, as_json=given.json)
    try:
        return train(loaded, wish(given), report, group)
    except (DataError, DoctorError, ModelError, FitError, RunError) as error:
        report.close()
        if group.first:
            print(error, file=sys.stderr)
        return 2
    except (OSError, DivergedError, CheckpointError, SafetensorError) as error:
        report.close()
        print(f"training failed: {error}", file=sys.stderr)
        return 1
    except torch.OutOfMemoryError as error:
        report.close()
        print(
            f"out of memory on the GPU: {str(error).splitlines()[0]}\nlower batch.sequences_at_once or set "
            "device.checkpointing: on; the same command goes on from the last checkpoint",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        report.close()
        leave(group)


if __name__ == "__main__":
    sys.exit(main())
