"""`crossover refresh`: from data to traffic, one step after the other, stopping where a step says no."""
