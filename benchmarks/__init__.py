"""Benchmarks of Crossover itself, on loopback and bounded: `make bench`. Raw figures go to benchmarks/results/."""
