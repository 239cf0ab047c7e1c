"""`crossover explain`: what a running gateway would do with a request, and why."""
