"""Energy is read where the machine counts it; elsewhere the reason is said, never a number."""

from __future__ import annotations

from pathlib import Path

from trainer.train.energy import cpu_meter, gpu_meter


def package(root: Path, microjoules: int) -> Path:
    folder = root / "intel-rapl:0"
    folder.mkdir(exist_ok=True)
    (folder / "max_energy_range_uj").write_text("1000000000\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder


def test_joules_are_counted_from_the_start_and_over_the_counters_wrap(tmp_path: Path) -> None:
    package(tmp_path, 900_000_000)
    meter = cpu_meter(tmp_path)
    package(tmp_path, 950_000_000)
    assert meter.joules() == 50.0
    package(tmp_path, 20_000_000)
    assert meter.joules() == 120.0


def test_a_machine_without_counters_says_so(tmp_path: Path) -> None:
    meter = cpu_meter(tmp_path / "none")
    assert meter.joules() is None
    assert meter.reason is not None
    assert "no intel-rapl counters" in meter.reason


def test_a_counter_that_goes_away_is_a_reason_not_a_number(tmp_path: Path) -> None:
    folder = package(tmp_path, 1)
    meter = cpu_meter(tmp_path)
    (folder / "energy_uj").unlink()
    assert meter.joules() is None
    assert meter.reason is not None


def test_a_gpu_that_is_not_there_has_no_energy() -> None:
    meter = gpu_meter("GPU-00000000-0000-0000-0000-000000000000")
    assert meter.joules() is None
    assert meter.reason
