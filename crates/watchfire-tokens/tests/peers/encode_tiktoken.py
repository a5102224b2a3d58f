"""Encodes texts with tiktoken: encode_tiktoken.py VOCABULARIES TEXTS OUT. VOCABULARIES holds NAME.tiktoken files; TEXTS are a length (4 bytes) and
UTF-8 each; OUT gets, for each encoding and text, a count and the tokens, 4 bytes each. Nothing is downloaded: the vocabularies are put
where tiktoken looks for what it has downloaded before, and it checks their hashes."""

import hashlib
import os
import struct
import sys
import tempfile

vocabularies, texts_path, out_path = sys.argv[1:]
cache = tempfile.mkdtemp()
os.environ["TIKTOKEN_CACHE_DIR"] = cache
for name in ["r50k_base", "p50k_base", "cl100k_base", "o200k_base"]:
    url = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
    with open(f"{vocabularies}/{name}.tiktoken", "rb") as source:
        with open(f"{cache}/{hashlib.sha1(url.encode()).hexdigest()}", "wb") as target:
            target.write(source.read())

import tiktoken  # noqa: E402, after its environment

texts = []
with open(texts_path, "rb") as file:
    while head := file.read(4):
        texts.append(file.read(struct.unpack("<I", head)[0]).decode())
with open(out_path, "wb") as out:
    for name in ["r50k_base", "p50k_base", "p50k_edit", "cl100k_base", "o200k_base", "o200k_harmony"]:
        encoding = tiktoken.get_encoding(name)
        for text in texts[:2000] if name in ("p50k_edit", "o200k_harmony") else texts:
            tokens = encoding.encode_ordinary(text)
            out.write(struct.pack(f"<{len(tokens) + 1}I", len(tokens), *tokens))
