"""From a file of rows to batches of tokens, and the doctor that looks at them first."""
