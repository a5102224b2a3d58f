"""Counts the texts of a file with tiktoken and prints, for each encoding: name, tokens, CPU seconds per pass, seconds until the first count.
tiktoken_speed.py VOCABULARIES TEXTS SECONDS NAME...: VOCABULARIES holds NAME.tiktoken, TEXTS are a length (4 bytes) and UTF-8 each."""

import hashlib
import os
import struct
import sys
import tempfile
import time

vocabularies, texts_path, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
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
for name in sys.argv[4:]:
    start = time.process_time()
    encoding = tiktoken.get_encoding(name)
    len(encoding.encode_ordinary("word"))
    loaded = time.process_time() - start
    best, spent, tokens = float("inf"), 0.0, 0
    while spent < seconds:
        start = time.process_time()
        tokens = sum(len(encoding.encode_ordinary(text)) for text in texts)
        took = time.process_time() - start
        best, spent = min(best, took), spent + took
    print(name, tokens, best, loaded)
