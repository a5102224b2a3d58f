"""Trains small tokenizers of the families that models have, and encodes texts with them: train_huggingface.py TRAINING TEXTS DIR. Into DIR go
NAME.json and NAME.out, which has a count and the tokens of each text, 4 bytes each. Nothing is downloaded."""

import json
import struct
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

training, texts_path, out = sys.argv[1:]
LLAMA_3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN_2 = LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = TEKKEN.replace(r"\p{M}]+|[", r"\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[").replace(r"\p{M}]*|\p{N}", r"\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}")
OTHER = r"\p{Lu}?\p{Ll}+|\p{N}{1,2}|[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def byte_level(*steps, normalizer=None, add_prefix_space=False, use_regex=False):
    tokenizer = Tokenizer(models.BPE())
    steps = [*steps, pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space, use_regex=use_regex)]
    tokenizer.pre_tokenizer = steps[0] if len(steps) == 1 else pre_tokenizers.Sequence(steps)
    if normalizer:
        tokenizer.normalizer = normalizer
    return tokenizer, trainers.BpeTrainer(vocab_size=1200, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|im_start|>", "<|im_end|>"])


def characters(pre_tokenizer, normalizer=None, fallback=True):
    tokenizer = Tokenizer(models.BPE(byte_fallback=fallback, unk_token="<unk>", fuse_unk=True))
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    special = ["<unk>", "<s>"] + ([f"<0x{byte:02X}>" for byte in range(256)] if fallback else [])
    return tokenizer, trainers.BpeTrainer(vocab_size=1200, special_tokens=special, limit_alphabet=120)


def isolated(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


llama_2 = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
families = {
    "gpt2": byte_level(use_regex=True),
    "gpt2_blank": byte_level(use_regex=True, add_prefix_space=True),
    "llama_3": byte_level(isolated(LLAMA_3)),
    "qwen_2": byte_level(isolated(QWEN_2), normalizer=normalizers.NFC()),
    "tekken": byte_level(isolated(TEKKEN)),
    "o200k": byte_level(isolated(O200K)),
    "other": byte_level(isolated(OTHER)),
    "digits": byte_level(pre_tokenizers.Digits(individual_digits=True), use_regex=True),
    "runs_of_digits": byte_level(pre_tokenizers.Digits(individual_digits=False), use_regex=True, normalizer=normalizers.NFKC()),
    "llama_2": characters(None, llama_2),
    "metaspace": characters(pre_tokenizers.Metaspace()),
    "metaspace_first": characters(pre_tokenizers.Metaspace(prepend_scheme="first")),
    "metaspace_whole": characters(pre_tokenizers.Metaspace(prepend_scheme="never", split=False)),
    "gemma": characters(pre_tokenizers.Split(" ", "merged_with_previous"), normalizers.Replace(" ", "▁")),
    "unknown": characters(pre_tokenizers.Metaspace(), fallback=False),
}

texts = []
with open(texts_path, "rb") as file:
    while head := file.read(4):
        texts.append(file.read(struct.unpack("<I", head)[0]).decode())
for name, (tokenizer, trainer) in families.items():
    trainer.show_progress = False
    tokenizer.train([training], trainer)
    tokenizer.add_tokens([AddedToken("[MASK]", lstrip=True), AddedToken("camelCase", normalized=True), AddedToken("[END]", rstrip=True)])
    if name == "llama_3":
        # A token that no merge makes is found only as a whole word.
        document = json.loads(tokenizer.to_str())
        document["model"]["ignore_merges"] = True
        document["model"]["vocab"]["ĠHTTPServer"] = 5000
        tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.save(f"{out}/{name}.json")
    with open(f"{out}/{name}.out", "wb") as answers:
        for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
            answers.write(struct.pack(f"<{len(encoding.ids) + 1}I", len(encoding.ids), *encoding.ids))
