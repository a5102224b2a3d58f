"""The token counter against answers of a server."""

from __future__ import annotations

import pytest

from watchfire.token_counter import TokenCounter, TokenCounterError, get_token_counter

VALID = {"prompt_tokens": 9, "available_for_prompt": 2364, "context_window": 3900, "warning": None, "error": None}
CUT = {"original_tokens": 9, "final_tokens": 5, "was_truncated": True, "fits": True}
BUDGET = {"context_window": 3900, "max_output_tokens": 1536, "available_for_prompt": 2364, "encoding": "cl100k_base"}


def test_tok_16_one_counter_has_all_operations(server) -> None:
    told = server(
        (200, {"tokens": 2, "encoding": "cl100k_base"}),
        (200, {"is_valid": False, "utilization": 1.2, **VALID, "newer": 1}),
        (200, {"truncated_prompt": "short", "sections_removed": ["depth_context"], **CUT}),
        (200, BUDGET),
    )
    counter = TokenCounter(url=told.url, token="secret")
    assert counter.count_tokens("hello world") == 2
    result = counter.validate_prompt("…")
    assert not result.is_valid and result.utilization == 1.2
    assert counter.truncate_enrichment_data("…", max_tokens=2364).sections_removed == ["depth_context"]
    assert counter.get_context_budget() == {"context_window": 3900, "max_output_tokens": 1536, "available_for_prompt": 2364}
    assert [path for path, _, _ in told.requests] == [f"/api/llm/{name}" for name in ("count", "validate", "truncate", "budget")]
    assert told.requests[2][2] == {"prompt": "…", "max_tokens": 2364}
    assert all(headers["authorization"] == "Bearer secret" for _, headers, _ in told.requests)
    assert get_token_counter() is get_token_counter()


def test_a_server_that_refuses_or_is_away_is_an_error_with_its_words(server) -> None:
    told = server((403, {"error": {"message": "this needs the level ingest"}}))
    with pytest.raises(TokenCounterError, match="403.*level ingest"):
        TokenCounter(url=told.url).validate_prompt("…")
    with pytest.raises(TokenCounterError, match="cannot ask http://127.0.0.1:9/api/llm/count"):
        TokenCounter(url="http://127.0.0.1:9").count_tokens("…")
