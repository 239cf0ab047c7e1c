"""How a backend is chosen: `crossover` is the product's way, `baselines` are what is done elsewhere."""
