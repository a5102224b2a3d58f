//! What programs of the pack `pisovereign` record, from its catalog: `cargo run -p watchfire-sdk --example write_names`
//! makes this file. It holds names and labels only.

use super::{Counter, Gauge, Histogram};

/// Time the application has been up.
pub const APP_UPTIME_SECONDS: Counter<0> = Counter("app_uptime_seconds", []);

/// Always 1; the version stands in a label.
pub const APP_VERSION_INFO: Gauge<1> = Gauge("app_version_info", ["version"]);

/// HTTP requests answered, by status code.
pub const HTTP_REQUESTS_TOTAL: Counter<1> = Counter("http_requests_total", ["status"]);

/// HTTP requests answered with a 2xx status.
pub const HTTP_REQUESTS_SUCCESS_TOTAL: Counter<0> = Counter("http_requests_success_total", []);

/// HTTP requests answered with a 4xx status.
pub const HTTP_REQUESTS_CLIENT_ERROR_TOTAL: Counter<0> = Counter("http_requests_client_error_total", []);

/// HTTP requests answered with a 5xx status.
pub const HTTP_REQUESTS_SERVER_ERROR_TOTAL: Counter<0> = Counter("http_requests_server_error_total", []);

/// HTTP requests in progress.
pub const HTTP_REQUESTS_ACTIVE: Gauge<0> = Gauge("http_requests_active", []);

/// Mean time taken to answer.
pub const HTTP_RESPONSE_TIME_AVG_MS: Gauge<0> = Gauge("http_response_time_avg_ms", []);

/// Median time taken to answer.
pub const HTTP_RESPONSE_TIME_P50_MS: Gauge<0> = Gauge("http_response_time_p50_ms", []);

/// Time that 90 % of answers stay below.
pub const HTTP_RESPONSE_TIME_P90_MS: Gauge<0> = Gauge("http_response_time_p90_ms", []);

/// Time that 99 % of answers stay below.
pub const HTTP_RESPONSE_TIME_P99_MS: Gauge<0> = Gauge("http_response_time_p99_ms", []);

/// Time taken to answer an HTTP request.
pub const HTTP_RESPONSE_TIME_MS: Histogram<0> = Histogram("http_response_time_ms", []);

/// Inferences asked for.
pub const INFERENCE_REQUESTS_TOTAL: Counter<1> = Counter("inference_requests_total", ["model"]);

/// Inferences that succeeded.
pub const INFERENCE_REQUESTS_SUCCESS_TOTAL: Counter<0> = Counter("inference_requests_success_total", []);

/// Inferences that failed.
pub const INFERENCE_REQUESTS_FAILED_TOTAL: Counter<0> = Counter("inference_requests_failed_total", []);

/// Mean time of an inference.
pub const INFERENCE_TIME_AVG_MS: Gauge<0> = Gauge("inference_time_avg_ms", []);

/// Time of an inference.
pub const INFERENCE_TIME_MS: Histogram<0> = Histogram("inference_time_ms", []);

/// Tokens generated.
pub const INFERENCE_TOKENS_TOTAL: Counter<1> = Counter("inference_tokens_total", ["model"]);

/// Whether the inference engine works: 1 yes, 0 no.
pub const INFERENCE_HEALTHY: Gauge<0> = Gauge("inference_healthy", []);

/// Cache lookups that found an entry.
pub const CACHE_HITS_TOTAL: Counter<0> = Counter("cache_hits_total", []);

/// Cache lookups that found none.
pub const CACHE_MISSES_TOTAL: Counter<0> = Counter("cache_misses_total", []);

/// Entries in the cache.
pub const CACHE_SIZE: Gauge<0> = Gauge("cache_size", []);

/// Prompts that tried to smuggle in instructions.
pub const SECURITY_PROMPT_INJECTION_ATTEMPTS_TOTAL: Counter<0> = Counter("security_prompt_injection_attempts_total", []);

/// Prompts that tried to break out of the rules.
pub const SECURITY_JAILBREAK_ATTEMPTS_TOTAL: Counter<0> = Counter("security_jailbreak_attempts_total", []);

/// Prompts that tried to read the system prompt.
pub const SECURITY_SYSTEM_PROMPT_LEAK_ATTEMPTS_TOTAL: Counter<0> = Counter("security_system_prompt_leak_attempts_total", []);

/// Prompts judged dangerous for other reasons.
pub const SECURITY_OTHER_THREATS_TOTAL: Counter<0> = Counter("security_other_threats_total", []);

/// Requests that were blocked.
pub const SECURITY_BLOCKED_REQUESTS_TOTAL: Counter<0> = Counter("security_blocked_requests_total", []);

/// Addresses that were blocked.
pub const SECURITY_IPS_BLOCKED_TOTAL: Counter<0> = Counter("security_ips_blocked_total", []);

/// Mean time of judging a prompt.
pub const SECURITY_PROMPT_ANALYSIS_AVG_US: Gauge<0> = Gauge("security_prompt_analysis_avg_us", []);

/// Prompts that were judged.
pub const SECURITY_PROMPT_ANALYSES_TOTAL: Counter<0> = Counter("security_prompt_analyses_total", []);
