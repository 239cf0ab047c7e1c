"""`crossover bench training`: how fast the trainer is, and whether what is fast is also right."""
