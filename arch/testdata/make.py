#!/usr/bin/env python3
"""Write a very small random model of each class and its outputs in transformers.

    make.py OUT

Every folder OUT/CLASS has a checkpoint (config.json, model.safetensors) and
reference.json: the inputs and, in the same order, the outputs, computed in f32
with eager attention on the CPU. Weights are drawn wide, norms and biases too,
so that a missing bias or a wrong position shows at once.

Needs torch and transformers.
"""

import json
import sys
from pathlib import Path

import torch
import transformers

BERT = {"vocab_size": 48, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
        "max_position_embeddings": 24, "num_labels": 3}
ROBERTA = BERT | {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1}
DISTILBERT = {"vocab_size": 48, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": 24,
              "num_labels": 3}
VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 12,
       "patch_size": 4, "num_labels": 3}
TEXT = {"Bert": BERT, "DistilBert": DISTILBERT, "Roberta": ROBERTA, "XLMRoberta": ROBERTA}
HEADS = ["Model", "ForQuestionAnswering", "ForSequenceClassification", "ForTokenClassification", "ForMaskedLM"]
IMAGE = ["ViTModel", "ViTForImageClassification", "DeiTModel", "DeiTForImageClassification", "DeiTForImageClassificationWithTeacher"]


def build(name, options):
    cls = getattr(transformers, name)
    config = cls.config_class(**options)
    config._attn_implementation = "eager"
    model = cls(config).eval()
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    for key, p in sorted(model.named_parameters()):
        z = torch.randn(p.shape, generator=generator)
        norm = "norm" in key.lower() and key.endswith("weight")
        p.copy_(1 + 0.2 * z if norm else 0.3 * z)
    return model


def numbers(t):
    return [round(x, 7) for x in t.flatten().tolist()]


def write(out, model, reference):
    name = type(model).__name__
    model.save_pretrained(out / name)
    (out / name / "generation_config.json").unlink(missing_ok=True)
    (out / name / "reference.json").write_text(json.dumps(reference) + "\n")


def text(out, family, head):
    options = TEXT[family] | ({"num_labels": 2} if head == "ForQuestionAnswering" else {})
    model = build(family + head, options)
    texts = [[5, 9, 30, 47, 12], list(range(3, 20)), [7, 2, 2, 40, 41, 42, 43, 44, 2]]
    outputs = []
    for ids in texts:
        r = model(input_ids=torch.tensor([ids]))
        if head == "ForQuestionAnswering":
            outputs.append({"start": numbers(r.start_logits), "end": numbers(r.end_logits)})
        else:
            outputs.append({"output": numbers(r[0])})
    write(out, model, {"inputs": texts, "outputs": outputs})


def image(out, name):
    model = build(name, VIT)
    generator = torch.Generator().manual_seed(1)
    outputs, images = [], []
    for _ in range(3):
        x = torch.randn((1, 3, 12, 12), generator=generator)
        images.append(numbers(x))
        outputs.append({"output": numbers(model(pixel_values=x)[0])})
    write(out, model, {"inputs": images, "outputs": outputs})


def main():
    out = Path(sys.argv[1])
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    for family in TEXT:
        for head in HEADS:
            if family != "XLMRoberta" or head == "ForSequenceClassification":
                text(out, family, head)
    for name in IMAGE:
        image(out, name)


main()
