"""Texts by which a merged model is compared with base and adapter: prose, code, numbers, other scripts, a question."""

from __future__ import annotations

PROMPTS = (
    "How many days of holiday may I carry over into next year, and until when must I take them?",
    "Write an e-mail to a customer whose parcel of 14 March was sent to the wrong address. Be brief and kind.",
    "def median(values: list[float]) -> float:\n    ordered = sorted(values)\n",
    "The quarterly figures were 12,480.50, 9,310.00, 15,002.75 and 11,999.99 euros. The sum is",
    "Der Vertrag verlängert sich um ein Jahr, wenn er nicht drei Monate vor Ablauf gekündigt wird.",
    "人工知能はどのように文章を書きますか。",
    '{"order": 1183, "state": "returned", "items": [{"sku": "A-7", "count": 2}]}',
    "Once the valve is closed, wait until the gauge reads zero before you open the housing.",
)
