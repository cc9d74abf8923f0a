"""Trains demo/transcribe: a small Whisper for spoken numbers, dates, letters and everyday phrases.

Windows are put together on the GPU from the utterances of voices.py: several speakers in a row, other speeds,
rooms, filters and noise, then silence up to 30 s, as the real feature extractor pads.
Most steps use windows of 10 s, the first third of the positions; the last ones the whole 30 s.

    python transcribe.py --speech speech.npz --minutes 10 --output ../transcribe
"""

import argparse
import random
from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import WhisperConfig, WhisperForConditionalGeneration
from transformers.audio_utils import mel_filter_bank

import export
import phrases

RATE, HOP, STEP = 16_000, 160, 320  # samples per second, per frame of features, per position of the encoder
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
BASE = 512
EOT, SOT, PREV, NOSPEECH, PLAIN = (BASE + SPECIAL.index(f"<|{name}|>") for name in ("endoftext", "startoftranscript", "startofprev", "nospeech", "notimestamps"))
TIME = BASE + len(SPECIAL)  # <|0.00|>; 1,501 of them, 20 ms apart
CHARACTERS = " 'abcdefghijklmnopqrstuvwxyz"


def train_tokenizer():
    """Byte-level BPE with Whisper's special tokens; timestamps have ids but no entries, as in whisper-tiny.en."""
    r = random.Random(0)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=BASE, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator((" " + phrases.phrase(r) for _ in range(50_000)), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftranscript|> <|notimestamps|> $A <|endoftext|>", pair="<|startoftranscript|> <|notimestamps|> $A $B <|endoftext|>",
        special_tokens=[("<|startoftranscript|>", SOT), ("<|notimestamps|>", PLAIN), ("<|endoftext|>", EOT)])
    return tokenizer


class Speech:
    """The utterances of one side; the samples lie in the memory of the device."""

    def __init__(self, data, side, tokenizer, device):
        self.texts = [str(t) for t in data[f"{side}_texts"]]
        self.voices = [str(v) for v in data[f"{side}_voices"]]
        self.tokens = [tokenizer.encode(" " + t, add_special_tokens=False).ids for t in self.texts]
        self.lengths = data[f"{side}_lengths"].astype(np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self.samples = torch.from_numpy(data[f"{side}_samples"]).to(device)


class Plans(torch.utils.data.IterableDataset):
    """Decides what is said when in every window of a batch; made in other processes, ahead of the device."""

    def __init__(self, speech, seconds, size):
        self.texts, self.tokens, self.lengths, self.starts = speech.texts, speech.tokens, speech.lengths.tolist(), speech.starts.tolist()
        self.seconds, self.size = seconds, size

    def window(self, r):
        """Utterances with their speeds and places, and the end of the recording, in samples."""
        room = int(self.seconds * RATE)
        wanted = 1 if r.random() < 0.45 else r.randint(2, 3 if self.seconds < 20 else 10)
        at, placed, tokens = int(r.uniform(0, 0.6) ** 2 * 2.5 * RATE), [], 0
        while len(placed) < wanted:
            i, speed = r.randrange(len(self.texts)), r.uniform(0.85, 1.2)
            length = int(self.lengths[i] / speed)
            tokens += len(self.tokens[i]) + 2
            if at + length >= room or tokens > 180:
                break
            placed.append((i, at, length, speed))
            at += length + int(r.uniform(0.15, 1.2) * RATE)
        if not placed:
            return self.window(r)
        _, start, length, _ = placed[-1]
        return placed, min(room, start + length + int(r.random() ** 3 * 5 * RATE))

    def labels(self, r, placed):
        """Tokens after <|startoftranscript|>, with timestamps in half of the windows."""
        if r.random() < 0.5:
            return [PLAIN] + [t for i, *_ in placed for t in self.tokens[i]] + [EOT]
        return [t for i, at, length, _ in placed
                for t in [TIME + round(at / STEP), *self.tokens[i], TIME + min(1500, round((at + length) / STEP))]] + [EOT]

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        r = random.Random(f"{self.seconds} {worker.id if worker else 0}")
        while True:
            plans = [self.window(r) for _ in range(self.size)]
            rows = torch.tensor([(w, self.starts[i], self.lengths[i], at, length, speed, 10 ** r.uniform(-1.3, -0.3))
                                 for w, (placed, _) in enumerate(plans) for i, at, length, speed in placed], dtype=torch.float64)
            ids = pad([[SOT] + self.labels(r, placed) for placed, _ in plans], -100)
            letters = [[CHARACTERS.index(c) + 1 for c in " ".join(self.texts[i] for i, *_ in placed)] for placed, _ in plans]
            yield rows, torch.tensor([end for _, end in plans]), ids, pad(letters, 0), torch.tensor([len(x) for x in letters])


def pad(rows, value):
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def mix(samples, rows, size, room):
    """Carry out a batch of plans: waveforms [size, room]."""
    w, source, available, at, length = (column[:, None].long() for column in rows[:, :5].unbind(1))
    speed, level = (column[:, None].float() for column in rows[:, 5:].unbind(1))
    t = torch.arange(int(length.max()), device=samples.device)[None]
    position = t * speed
    left = torch.minimum(position.long(), available - 2)
    value = torch.lerp(samples[source + left].float(), samples[source + left + 1].float(), (position - left).clamp(0, 1))
    value = value * (t < length) / 32768
    loudness = (value.square().sum(1, keepdim=True) / length).sqrt() + 1e-4
    audio = torch.zeros(size * room, device=samples.device)
    # Beyond the end of an utterance the value is nought, so adding it to any place does no harm.
    audio.index_add_(0, (w * room + (at + t).clamp_max(room - 1)).flatten(), (value * (level * 0.2 / loudness)).flatten())
    return audio.view(size, room)


def disturb(audio, ends, strength=1.0):
    """Rooms, filters and noise, all in the frequency domain; digital silence after the end of each recording."""
    n, size, device = *audio.shape, audio.device
    rand = lambda low, high: torch.rand(n, 1, device=device) * (high - low) + low
    sometimes = lambda p: (torch.rand(n, 1, device=device) < p * strength).float()
    spectrum = torch.fft.rfft(audio)
    bins = spectrum.shape[1]
    hertz = torch.linspace(0, RATE / 2, bins, device=device)[None]
    # An echo that dies away: noise under an exponential, after the direct sound.
    t = torch.arange(RATE // 2, device=device)[None] / RATE
    echo = torch.randn(n, RATE // 2, device=device) * torch.exp(-6.9 * t / rand(0.08, 0.7)) * rand(0.01, 0.12) * sometimes(0.5)
    echo[:, 0] = 1
    spectrum = spectrum * torch.fft.rfft(echo, n=size)
    # A smooth filter: some decibels up and down, and at times the band of a telephone.
    knots = F.interpolate(torch.randn(n, 1, 9, device=device) * 5 * sometimes(0.6)[..., None], size=bins // 8, mode="linear", align_corners=True)
    gain = F.interpolate(knots, size=bins, mode="nearest")[:, 0]
    narrow = sometimes(0.25)
    low, high = rand(50, 300), rand(3000, 7000)
    band = torch.sigmoid((hertz - low) / 30) * torch.sigmoid((high - hertz) / 200)
    spectrum = spectrum * 10 ** (gain / 20) * (1 - narrow + narrow * band)
    audio = torch.fft.irfft(spectrum, n=size)
    inside = torch.arange(size, device=device)[None] < ends[:, None]
    power = (audio.square() * inside).sum(1, keepdim=True) / ends[:, None]
    # Noise between white and brown, at 0 to 40 dB below the speech, and hum.
    colour = (hertz + 20) ** -rand(0, 1)
    noise = torch.fft.irfft(torch.fft.rfft(torch.randn(n, size, device=device)) * colour, n=size)
    noise = noise / noise.square().mean(1, keepdim=True).sqrt()
    audio = audio + noise * power.sqrt() * 10 ** (-rand(3, 45) / 20) * sometimes(0.8)
    return audio.clamp(-1, 1) * inside


class Features:
    """Whisper's log-mel features, as transformers' WhisperFeatureExtractor computes them."""

    def __init__(self, device):
        self.window = torch.hann_window(400, device=device)
        self.filters = torch.tensor(mel_filter_bank(201, 80, 0.0, 8000.0, RATE, norm="slaney", mel_scale="slaney"), dtype=torch.float32, device=device)

    def __call__(self, audio, stretch=None):
        """Features of waveforms; stretch [n] scales the frequencies of each, as a longer or shorter vocal tract does."""
        power = torch.stft(audio, 400, HOP, window=self.window, return_complex=True)[..., :-1].abs().square()
        if stretch is not None:
            bins = torch.arange(power.shape[1], device=power.device) * stretch[:, None]
            low = bins.long().clamp_max(power.shape[1] - 2)
            part = (bins - low).clamp_max(1)[..., None]
            pick = lambda i: power.gather(1, i[..., None].expand(-1, -1, power.shape[2]))
            power = torch.lerp(pick(low), pick(low + 1), part)
        mel = (self.filters.T @ power).clamp_min(1e-10).log10()
        mel = torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8)
        return (mel + 4) / 4


def hide(mel):
    """SpecAugment (Park et al. 2019): blank a band of frequencies and short stretches of time."""
    n, bands, frames = mel.shape
    f, t = torch.arange(bands, device=mel.device), torch.arange(frames, device=mel.device)
    keep = torch.ones(n, bands, frames, device=mel.device, dtype=torch.bool)
    begin, width = torch.rand(2, n, 1, device=mel.device)
    keep &= ((f < begin * bands) | (f > begin * bands + width * 12))[:, :, None]
    for _ in range(3):
        begin, width = torch.rand(2, n, 1, device=mel.device)
        keep &= ((t < begin * frames) | (t > begin * frames + width * 12))[:, None]
    return torch.where(keep, mel, mel.mean((1, 2), keepdim=True))


def set_window(model, table, seconds):
    """Let the encoder take windows of `seconds`: the first positions of its table."""
    positions = int(seconds * RATE) // STEP
    model.config.max_source_positions = positions
    model.model.encoder.embed_positions = torch.nn.Embedding.from_pretrained(table[:positions].clone(), freeze=True)


def word_errors(said, heard):
    """Edit distance between two lists of words."""
    row = list(range(len(heard) + 1))
    for i, a in enumerate(said, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(heard, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


@torch.no_grad()
def transcribe(model, mel, most=60):
    """Greedy decoding without timestamps."""
    encoded = model.model.encoder(mel).last_hidden_state
    ids = torch.full((len(mel), 1), SOT, device=mel.device)
    ids = torch.cat([ids, torch.full_like(ids, PLAIN)], 1)
    for _ in range(most):
        logits = model(encoder_outputs=(encoded,), decoder_input_ids=ids, use_cache=False).logits[:, -1]
        logits[:, TIME:] = -1e4
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], 1)
        if (ids == EOT).any(1).all():
            break
    return ids[:, 2:]


def word_error_rate(model, speech, features, tokenizer, noisy, count=1000, show=0):
    """Word error rate of single utterances in windows of 30 s: of all, and of each engine of voices."""
    model.eval()
    torch.manual_seed(5)
    wrong, total = Counter(), Counter()
    device, room = speech.samples.device, int(model.config.max_source_positions * STEP)
    order = np.random.default_rng(0).permutation(len(speech.texts))[:count]
    for part in np.array_split(order, max(1, len(order) // 100)):
        audio = torch.zeros(len(part), room, device=device)
        for row, i in zip(audio, part):
            row[:speech.lengths[i]] = speech.samples[speech.starts[i]:speech.starts[i] + speech.lengths[i]].float() / 32768
        if noisy:
            audio = disturb(audio, torch.tensor(speech.lengths[part], device=device))
        for i, ids in zip(part, transcribe(model, features(audio)).tolist()):
            heard = tokenizer.decode(ids[:ids.index(EOT)] if EOT in ids else ids).split()
            said = speech.texts[i].split()
            for group in ("all", speech.voices[i].split()[0]):
                wrong[group] += word_errors(said, heard)
                total[group] += len(said)
            if show > 0 and heard != said:
                show -= 1
                print(f"    said {' '.join(said)!r} heard {' '.join(heard)!r}")
    model.train()
    return {group: round(wrong[group] / total[group], 4) for group in sorted(total)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--output", default=export.DEMO / "transcribe")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)

    tokenizer, data, features = train_tokenizer(), np.load(args.speech), Features(device)
    train, test = (Speech(data, side, tokenizer, device) for side in ("train", "test"))
    config = WhisperConfig(vocab_size=TIME + 1501, num_mel_bins=80, d_model=144, encoder_layers=4, encoder_attention_heads=3, encoder_ffn_dim=576,
                           decoder_layers=2, decoder_attention_heads=3, decoder_ffn_dim=576, max_source_positions=1500, max_target_positions=448,
                           dropout=0.05, pad_token_id=EOT, bos_token_id=SOT, eos_token_id=EOT, decoder_start_token_id=SOT, is_encoder_decoder=True,
                           begin_suppress_tokens=[tokenizer.token_to_id("Ġ"), EOT], suppress_tokens=None)
    model = WhisperForConditionalGeneration(config).to(device)
    table = model.model.encoder.embed_positions.weight.detach().clone()
    # CTC (Graves et al. 2006) on the encoder's output teaches it letters early; the head is not part of the model.
    ctc = torch.nn.Linear(config.d_model, len(CHARACTERS) + 1, device=device)
    schedule = export.Schedule(export.optimizer(torch.nn.ModuleList([model, ctc]), 0.05), args.minutes, 2e-3)
    seconds = 0
    while schedule.advance():
        if seconds != (wanted := 10 if schedule.progress < 0.72 else 30):
            seconds = wanted
            set_window(model, table, seconds)
            size = args.batch if seconds == 10 else args.batch // 2
            loader = torch.utils.data.DataLoader(Plans(train, seconds, size), batch_size=None, num_workers=args.workers, pin_memory=device == "cuda", prefetch_factor=8 if args.workers else None)
            plans = iter(loader)
        rows, ends, ids, characters, counts = (x.to(device, non_blocking=True) for x in next(plans))
        inputs, wanted_ids = ids[:, :-1].clamp_min(0), ids[:, 1:]
        with torch.no_grad():
            # Vocal tract length perturbation (Jaitly and Hinton 2013): the voices are few, their throats need not be.
            stretch = torch.exp(torch.randn(size, device=device) * 0.08).clamp(0.8, 1.25)
            mel = features(disturb(mix(train.samples, rows, size, seconds * RATE), ends), stretch)
            mel = torch.where(torch.rand(len(mel), 1, 1, device=device) < 0.7, hide(mel), mel)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            encoded = model.model.encoder(mel).last_hidden_state
            logits = model(encoder_outputs=(encoded,), decoder_input_ids=inputs, use_cache=False).logits
            letters = ctc(encoded)
        loss = F.cross_entropy(logits.float().flatten(0, 1), wanted_ids.flatten(), ignore_index=-100, label_smoothing=0.05)
        scores = letters.float().log_softmax(-1).transpose(0, 1)
        aligned = F.ctc_loss(scores, characters, torch.full_like(counts, len(scores)), counts, zero_infinity=True)
        schedule.optimizer.zero_grad(set_to_none=True)
        (loss + 0.4 * aligned).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        schedule.optimizer.step()
        if schedule.step % 1000 == 1:
            print(f"{schedule.progress:.2f} step {schedule.step} loss {loss.item():.3f} ctc {aligned.item():.3f} wer {word_error_rate(model, test, features, tokenizer, False, 100)}", flush=True)

    set_window(model, table, 30)
    export.save_checkpoint(args.output, model, generation={
        "begin_suppress_tokens": [tokenizer.token_to_id("Ġ"), EOT], "bos_token_id": SOT, "decoder_start_token_id": SOT, "eos_token_id": EOT,
        "is_multilingual": False, "max_initial_timestamp_index": 50, "max_length": 448, "no_timestamps_token_id": PLAIN, "pad_token_id": EOT,
        "prev_sot_token_id": PREV, "return_timestamps": False,
    }, preprocessor={
        "chunk_length": 30, "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80, "hop_length": HOP, "n_fft": 400, "n_samples": 480000,
        "nb_max_frames": 3000, "padding_side": "right", "padding_value": 0.0, "processor_class": "WhisperProcessor", "return_attention_mask": False, "sampling_rate": RATE})
    tokenizer.save(str(export.Path(args.output) / "tokenizer.json"))
    export.save_json(export.Path(args.output) / "tokenizer_config.json", {
        "add_prefix_space": False, "bos_token": "<|startoftranscript|>", "clean_up_tokenization_spaces": False, "eos_token": "<|endoftext|>", "errors": "replace", "model_max_length": 448,
        "pad_token": "<|endoftext|>", "processor_class": "WhisperProcessor", "return_attention_mask": False, "tokenizer_class": "WhisperTokenizer", "unk_token": "<|endoftext|>"})
    model.load_state_dict({k: v.bfloat16().float() for k, v in model.state_dict().items()})
    print(f"steps {schedule.step}")
    for noisy in (False, True):
        print(f"word error rate, voices never trained on, {'disturbed' if noisy else 'plain'}: {word_error_rate(model, test, features, tokenizer, noisy, show=8)}", flush=True)


if __name__ == "__main__":
    main()
