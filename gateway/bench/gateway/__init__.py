"""`crossover bench gateway`: what the gateway adds and costs, beside its peers, in one run on one machine."""
