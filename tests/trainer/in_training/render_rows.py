"""Renders rows with a model's own tokenizer and runs the doctor's command, in the training environment.

python render_rows.py MODEL ROWS CONFIG...   prints one JSON object
"""

import contextlib
import io
import json
import sys
from pathlib import Path

from trainer.data.__main__ import main
from trainer.data.rendering import load_renderer
from trainer.data.rows import read_rows

model, rows = Path(sys.argv[1]), read_rows(Path(sys.argv[2]))
renderer = load_renderer(model)
rendered = list(renderer.render(rows))
decode = renderer.tokenizer.decode
chats = [
    {
        "messages": row.messages,
        "prompt_ids": list(one.ids[: one.learned_from]),
        "learned": decode(list(one.ids[one.learned_from :])),
        "whole_text": renderer.tokenizer.apply_chat_template(row.messages, tokenize=False),
        "text": decode(list(one.ids)),
        "ended": one.ended,
        "as_template": one.as_template,
    }
    for row, one in zip(rows, rendered, strict=True)
    if row.messages is not None
]
pairs = [
    {
        "prompt": row.prompt,
        "prompt_ids": list(one.ids[: one.learned_from]),
        "learned": decode(list(one.ids[one.learned_from :])),
    }
    for row, one in zip(rows, rendered, strict=True)
    if row.messages is None
]
checks = []
for config in sys.argv[3:]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["--config", config])
    checks.append({"status": status, "out": out.getvalue(), "err": err.getvalue()})
print(json.dumps({"chats": chats, "pairs": pairs, "turn_ends": renderer.turn_ends, "checks": checks}))
