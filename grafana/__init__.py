"""Crossover's Grafana dashboards: the program that writes them, and what draws pictures of them."""
