#!/usr/bin/env python3
"""Write transformers.json: probabilities after transformers' logits processors. Needs torch and transformers."""

import json
import random
from pathlib import Path

import torch
from transformers.generation import logits_process as lp


def case(vocabulary):
    logits = torch.round(torch.randn(1, vocabulary) * random.choice([1, 3, 8]), decimals=4)
    params = {"Temperature": random.choice([0.3, 0.7, 1.0, 1.7]), "TopK": random.choice([0, 0, 3, 20, 400]),
              "TopP": random.choice([0, 0, 0.3, 0.9, 0.99]), "MinP": random.choice([0, 0, 0.05, 0.5]),
              "RepetitionPenalty": random.choice([0, 1.1, 2.0])}
    prompt, scores = torch.randint(0, vocabulary, (1, 4)), logits.clone()
    for name, processor in {"RepetitionPenalty": lp.RepetitionPenaltyLogitsProcessor, "Temperature": lp.TemperatureLogitsWarper,
                            "TopK": lp.TopKLogitsWarper, "TopP": lp.TopPLogitsWarper, "MinP": lp.MinPLogitsWarper}.items():
        if params[name]:
            scores = processor(params[name])(prompt, scores)
    return {"Params": params, "Prompt": prompt[0].tolist(), "Logits": [round(v, 4) for v in logits[0].tolist()],
            "Probabilities": [round(v, 7) for v in scores.softmax(-1)[0].tolist()]}


torch.manual_seed(0)
random.seed(0)
cases = [case(random.choice([5, 12, 30])) for _ in range(40)]
lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
Path(__file__).with_name("transformers.json").write_text(f"[\n{lines}\n]\n")
