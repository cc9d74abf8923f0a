"""Trains demo/answer: a DistilBERT that marks the answer to a question in a paragraph.

    python answer.py --minutes 6 --output ../answer
"""

import argparse
import random
import re
from multiprocessing import Pool

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import DistilBertConfig, DistilBertForQuestionAnswering

import export
import facts

LENGTH = 192  # tokens of question and paragraph
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def examples(job):
    """Write `count` examples from one seed."""
    seed, count, test = job
    writer, rng = facts.Writer(test), random.Random(f"{seed} {test}")
    return [writer.example(rng) for _ in range(count)]


def train_tokenizer(texts, size):
    """WordPiece in lower case, with the layout of bert-base-uncased."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = [chr(c) for c in range(33, 127)]
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL, initial_alphabet=letters, continuing_subword_prefix="##", show_progress=False)
    # every letter and digit also inside a word, so that no ASCII text is [UNK]
    tokenizer.train_from_iterator(texts + ["".join(p) for c in "abcdefghijklmnopqrstuvwxyz0123456789" for p in [("z", c), (c, c, "x")]] * 50, trainer)
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", cls), ("[SEP]", sep)])
    return tokenizer


def encode(tokenizer, items):
    """Return int16 ids [n, LENGTH], and the first and last token of each answer."""
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH)
    ids, spans = np.zeros((len(items), LENGTH), np.int16), np.zeros((len(items), 2), np.int16)
    encoded = tokenizer.encode_batch([(question, context) for context, question, _, _ in items])
    for i, (e, (_, _, answer, offset)) in enumerate(zip(encoded, items)):
        ids[i] = e.ids
        first, last = e.char_to_token(offset, 1), e.char_to_token(offset + len(answer) - 1, 1)
        spans[i] = first or 0, last or 0
    return torch.from_numpy(ids), torch.from_numpy(spans)


@torch.no_grad()
def best_spans(model, ids, longest=24):
    """The span with the largest sum of logits inside the paragraph, as every reader of SQuAD models picks it."""
    spans = []
    for part in ids.split(500):
        out = model(input_ids=part, attention_mask=(part != 0).long())
        sep = (part == 3).int()
        context = (sep.cumsum(1) == 1) & (sep == 0)
        start, end = (x.float().masked_fill(~context, -1e4) for x in (out.start_logits, out.end_logits))
        score = start[:, :, None] + end[:, None, :]
        allowed = torch.ones(LENGTH, LENGTH, device=ids.device).triu().tril(longest - 1)
        best = (score - 1e5 * (1 - allowed)).flatten(1).argmax(1)
        spans.append(torch.stack([best // LENGTH, best % LENGTH], 1))
    return torch.cat(spans)


def normal(text):
    """As SQuAD compares answers: no case, punctuation, articles or extra spaces."""
    return re.sub(r"\b(a|an|the)\b|[^\w ]", " ", text.lower()).split()


def exact_match(model, tokenizer, ids, items):
    """The share of answers found exactly, and the answers."""
    model.eval()
    spans = best_spans(model, ids)
    model.train()
    found = []
    for (context, question, _, _), (first, last) in zip(items, spans.tolist()):
        offsets = tokenizer.encode(question, context).offsets
        found.append(context[offsets[first][0]:offsets[last][1]])
    return sum(normal(f) == normal(answer) for f, (_, _, answer, _) in zip(found, items)) / len(found), found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1_500_000)
    parser.add_argument("--test", type=int, default=3000)
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=1e-3, help="peak of the learning rate")
    parser.add_argument("--start", help="folder of a model to go on from")
    parser.add_argument("--output", default=export.DEMO / "answer")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)

    chunk = max(1, args.examples // 256)
    with Pool() as pool:
        train = [e for part in pool.imap(examples, [(seed, chunk, False) for seed in range(256)]) for e in part]
    test = examples((0, args.test, True))
    tokenizer = Tokenizer.from_file(f"{args.start}/tokenizer.json") if args.start else train_tokenizer([text for c, q, _, _ in train[:60_000] for text in (c, q)], 4000)
    ids, spans = encode(tokenizer, train)
    keep = spans[:, 0] > 0
    ids, spans = ids[keep].to(device), spans[keep].to(device)
    test_ids = encode(tokenizer, test)[0].long().to(device)
    print(f"{len(ids)} examples, vocabulary {tokenizer.get_vocab_size()}", flush=True)

    config = DistilBertConfig(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=384, dim=160, n_layers=4, n_heads=5, hidden_dim=640,
                              dropout=0.15, attention_dropout=0.1, qa_dropout=0.1, pad_token_id=0)
    model = DistilBertForQuestionAnswering(config).to(device)
    if args.start:
        model = DistilBertForQuestionAnswering.from_pretrained(args.start, config=config, dtype=torch.float32).to(device)
        model.train()
    schedule = export.Schedule(export.optimizer(model, 0.05), args.minutes, args.rate)
    while schedule.advance():
        pick = torch.randint(len(ids), (args.batch,), device=device)
        batch, span = ids[pick].long(), spans[pick].long()
        batch = batch[:, :int((batch != 0).sum(1).max())]
        # Mask words now and then, so that no single word of a template is relied on.
        rate = torch.rand(len(batch), 1, device=device) ** 2 * 0.25
        masked = torch.where((torch.rand(batch.shape, device=device) < rate) & (batch > 4), 4, batch)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            out = model(input_ids=masked, attention_mask=(batch != 0).long())
        loss = F.cross_entropy(out.start_logits.float(), span[:, 0]) + F.cross_entropy(out.end_logits.float(), span[:, 1])
        schedule.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        schedule.optimizer.step()
        if schedule.step % 500 == 1:
            print(f"{schedule.progress:.2f} step {schedule.step} loss {loss.item():.3f} test {exact_match(model, tokenizer, test_ids[:1000], test[:1000])[0]:.3f}", flush=True)

    export.save_checkpoint(args.output, model)
    tokenizer.no_padding(), tokenizer.no_truncation()
    tokenizer.save(str(export.Path(args.output) / "tokenizer.json"))
    export.save_json(export.Path(args.output) / "tokenizer_config.json", {
        "cls_token": "[CLS]", "do_lower_case": True, "mask_token": "[MASK]", "model_max_length": 384, "pad_token": "[PAD]",
        "sep_token": "[SEP]", "tokenizer_class": "DistilBertTokenizer", "unk_token": "[UNK]"})
    model.load_state_dict({k: v.bfloat16().float() if v.is_floating_point() else v for k, v in model.state_dict().items()})
    tokenizer.no_padding()
    match, found = exact_match(model, tokenizer, test_ids, test)
    print(f"steps {schedule.step}, exact match on templates never trained on: {match:.4f} of {len(test)}")
    for (_, question, answer, _), f in list(zip(test, found))[:40]:
        print(f"Q {question} A {answer!r} found {f!r}", flush=True)


if __name__ == "__main__":
    main()
