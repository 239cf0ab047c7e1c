"""The handbook of a company that does not exist, and questions about it: the experiment's corpus and data.

Brindlemoor Ropeways, its desks, rooms and numbers are made up, so that no model can know them from elsewhere.

pages/           the handbook: editions 2025 and 2026; a page that both share has both as its label
questions.jsonl  the gate's 60 questions; holdout.jsonl has 30 more, for promotion alone
easy.jsonl       questions that the base model answers without tuning, to show the kill criterion. They were picked by
                 asking it; each names its page, which is in easy/ and not in the handbook, and sees that one alone
asked.jsonl      other facts of the handbook, each with the ways in which somebody asks for it
train.jsonl      the training rows, made from asked.jsonl by `python -m trainer.gate.handbook.rows`
instruction.txt  the system message of every prompt
"""
