"""Trains demo/generate: a Qwen3 of 4.5 million parameters that continues short stories.

    python generate.py --minutes 5 --output ../generate
"""

import argparse
import random
import re
from multiprocessing import Pool

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen3Config, Qwen3ForCausalLM

import export
import plots

LENGTH = 320  # tokens of a row; a story has about 200
END = "<|endoftext|>"


def stories(job):
    seed, count = job
    r, known = random.Random(f"story {seed}"), plots.plots()
    return [plots.story(r, known) for _ in range(count)]


def train_tokenizer(texts, size):
    """Byte-level BPE: any text has tokens; the end token comes last."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size - 1, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(END, special=True, normalized=False)])
    return tokenizer


def rows(tokenizer, texts):
    """Rows of LENGTH + 1 tokens, each from the beginning of a text: stories end to end."""
    end, out, row = tokenizer.token_to_id(END), [], []
    for e in tokenizer.encode_batch(texts):
        row += e.ids + [end]
        if len(row) > LENGTH:
            out.append(row[:LENGTH + 1])
            row = []
    return np.array(out, dtype=np.int16)


def later(text, r):
    """Begin one story in five with a later sentence."""
    cuts = [m.end() for m in re.finditer(r"[.!?] ", text)][:4]
    return text[r.choice(cuts):] if cuts and r.random() < 0.2 else text


@torch.no_grad()
def perplexity(model, ids):
    total = 0.0
    for part in ids.split(64):
        logits = model(input_ids=part[:, :-1]).logits.float()
        total += F.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten(), reduction="sum").item()
    return float(np.exp(total / ids[:, 1:].numel()))


def distinct(texts, n):
    """The share of n-word sequences that are different, over all texts."""
    grams = [tuple(words[i:i + n]) for words in (t.split() for t in texts) for i in range(len(words) - n + 1)]
    return len(set(grams)) / max(1, len(grams))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stories", type=int, default=400_000)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--output", default=export.DEMO / "generate")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    r = random.Random(0)

    with Pool() as pool:
        parts = pool.map(stories, [(seed, args.stories // 128) for seed in range(129)])
    held_out = parts.pop()[:2000]
    texts = sorted({t for part in parts for t in part} - set(held_out))
    r.shuffle(texts)
    tokenizer = train_tokenizer(texts[:60_000], 4096)
    size = tokenizer.get_vocab_size()
    ids = torch.from_numpy(rows(tokenizer, [later(t, r) for t in texts])).to(device)
    test = torch.from_numpy(rows(tokenizer, held_out)).long().to(device)
    print(f"{len(texts)} stories, {ids.numel():,} tokens, vocabulary {size}", flush=True)

    end = tokenizer.token_to_id(END)
    config = Qwen3Config(vocab_size=size, hidden_size=256, intermediate_size=640, num_hidden_layers=5, num_attention_heads=4, num_key_value_heads=2, head_dim=64,
                         max_position_embeddings=1024, tie_word_embeddings=True, bos_token_id=end, eos_token_id=end, pad_token_id=end, use_cache=True)
    model = Qwen3ForCausalLM(config).to(device)
    schedule = export.Schedule(export.optimizer(model), args.minutes, 2e-3)
    while schedule.advance():
        batch = ids[torch.randint(len(ids), (args.batch,), device=device)].long()
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            logits = model(input_ids=batch[:, :-1], use_cache=False).logits
        loss = F.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())
        schedule.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        schedule.optimizer.step()
        if schedule.step % 200 == 1:
            print(f"{schedule.progress:.2f} step {schedule.step} loss {loss.item():.3f}", flush=True)

    export.save_checkpoint(args.output, model, generation={
        "bos_token_id": end, "do_sample": True, "eos_token_id": end, "pad_token_id": end, "temperature": 0.7, "top_k": 40, "top_p": 1.0})
    folder = export.Path(args.output)
    tokenizer.save(str(folder / "tokenizer.json"))
    export.save_json(folder / "tokenizer_config.json", {
        "add_bos_token": False, "add_prefix_space": False, "bos_token": None, "clean_up_tokenization_spaces": False, "eos_token": END,
        "model_max_length": 1024, "pad_token": END, "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": None})
    model.load_state_dict({k: v.bfloat16().float() for k, v in model.state_dict().items()})
    model.eval()
    print(f"steps {schedule.step}, perplexity of held-out stories {perplexity(model, test):.3f}", flush=True)
    prompts = ["Once upon a time", "The little fox", "It was a dark night and", "Anna and Ben", "\"Help!\" said the bird."] * 4
    texts = []
    for prompt in prompts:
        start = torch.tensor([tokenizer.encode(prompt).ids], device=device)
        out = model.generate(start, attention_mask=torch.ones_like(start), max_new_tokens=260, do_sample=True, temperature=0.7, top_k=40, eos_token_id=end, pad_token_id=end)
        texts.append(tokenizer.decode(out[0].tolist()))
        print("-----\n" + texts[-1], flush=True)
    print(f"distinct-2 {distinct(texts, 2):.3f} distinct-3 {distinct(texts, 3):.3f}; held-out stories: {distinct(held_out[:20], 2):.3f} {distinct(held_out[:20], 3):.3f}")


if __name__ == "__main__":
    main()
