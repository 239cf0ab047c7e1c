"""Tokenizes and embeds with Hugging Face's own BERT, in the training environment.

python originals.py MODEL < texts.json > {"ids": [...], "vectors": [...]}
"""

import json
import sys

import torch
from tokenizers import Tokenizer
from transformers import BertModel

folder, texts = sys.argv[1], json.load(sys.stdin)
tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
tokenizer.no_truncation()
tokenizer.no_padding()
model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
longest = min(256, model.config.max_position_embeddings)
ids = [tokenizer.encode(text).ids for text in texts]
vectors = []
with torch.no_grad():
    for each in ids:
        each = each[: longest - 1] + each[-1:] if len(each) > longest else each
        mean = model(input_ids=torch.tensor([each])).last_hidden_state[0].mean(0)
        vectors.append(torch.nn.functional.normalize(mean, dim=0).tolist())
json.dump({"ids": ids, "vectors": vectors}, sys.stdout)
