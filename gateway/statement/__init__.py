"""`crossover report`: what a period of real traffic cost, out of the ledger.

Data goes one way: the ledger's rows (`ledger_rows`, `flow`) -> figures (`figures` and its parts, pure) -> sections of
tables, words and charts (`sections`) -> terminal, Markdown, CSV, HTML. JSON is made of the figures themselves.
"""
