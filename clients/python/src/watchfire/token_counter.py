"""How many tokens a prompt is, whether it fits, and the prompt made to fit: asked of the server, which counts as tiktoken does."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any, TypeVar

from watchfire.reporter import Later, address, ask

T = TypeVar("T")


class TokenCounterError(RuntimeError):
    """The server did not answer the question."""


@dataclasses.dataclass(frozen=True)
class PromptValidation:
    """Whether a prompt fits."""

    is_valid: bool
    prompt_tokens: int
    available_for_prompt: int
    context_window: int
    utilization: float
    warning: str | None = None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class TruncationResult:
    """A prompt that was shortened where needed."""

    truncated_prompt: str
    original_tokens: int
    final_tokens: int
    sections_removed: list[str]
    was_truncated: bool
    fits: bool


class TokenCounter:
    """Asks the server. Every question waits for its answer, so ask from a thread where an event loop runs."""

    def __init__(self, url: str | None = None, token: str | None = None, timeout: float = 10.0) -> None:
        self._url, self._token, self._timeout = url, token, timeout

    def count_tokens(self, text: str) -> int:
        """How many tokens a text is."""
        return int(self._ask("/api/llm/count", {"text": text})["tokens"])

    def validate_prompt(self, prompt: str, model: str | None = None) -> PromptValidation:
        """Whether a prompt fits; told as metrics, too."""
        return _made(PromptValidation, self._ask("/api/llm/validate", {"prompt": prompt, "model": model}))

    def truncate_enrichment_data(self, prompt: str, max_tokens: int | None = None) -> TruncationResult:
        """The prompt without the sections that can be spared most, until it fits."""
        return _made(TruncationResult, self._ask("/api/llm/truncate", {"prompt": prompt, "max_tokens": max_tokens}))

    def get_context_budget(self) -> dict[str, int]:
        """The window, what is kept of it for the answer, and what is left."""
        told = self._ask("/api/llm/budget", None)
        return {name: int(told[name]) for name in ("context_window", "max_output_tokens", "available_for_prompt")}

    def _ask(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        url = address(path, self._url)
        try:
            status, answer = ask(url, body, self._token, self._timeout)
        except (Later, OSError) as error:
            raise TokenCounterError(f"cannot ask {url}: {error}") from error
        if status != 200:
            raise TokenCounterError(f"cannot ask {url}: it answered {status}: {answer[:200].decode(errors='replace')}")
        told: dict[str, Any] = json.loads(answer)
        return told


def _made(kind: type[T], told: dict[str, Any]) -> T:
    """A newer server may tell more than we know."""
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in told.items() if name in known})


@functools.cache
def get_token_counter() -> TokenCounter:
    """The one counter of this process, which asks the server at ``WATCHFIRE_URL``."""
    return TokenCounter()
