//! What each kind of server tells, as its documents say, and how that is called here: llama.cpp, vLLM, Ollama, Triton. Texts come from
//! strangers; what is not as expected says nothing. It asks nobody.

use serde_json::Value;
use watchfire_model::logs::Nanos;

use super::sheet::{FAILURE, INPUT, MODEL, OUTPUT, Rule, SUCCESS, Sheet, labelled, named};

/// Models of one server that are shown one by one.
const MODELS_MAX: usize = 100;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `llama-server` of llama.cpp.
    LlamaCpp,
    /// vLLM.
    Vllm,
    /// Ollama.
    Ollama,
    /// NVIDIA's Triton.
    Triton,
}

/// Where to ask, and how the answer is read. The error is a sentence.
pub(super) struct Question {
    pub(super) path: &'static str,
    pub(super) read: fn(&str, &mut Sheet) -> Result<(), String>,
}
const fn question(path: &'static str, read: fn(&str, &mut Sheet) -> Result<(), String>) -> Question {
    Question { path, read }
}

impl Kind {
    /// The words of the configuration.
    pub(super) const WORDS: [&'static str; 4] = ["llama.cpp", "vllm", "ollama", "triton"];

    pub(super) fn of(word: &str) -> Kind {
        match word {
            "vllm" => Kind::Vllm,
            "ollama" => Kind::Ollama,
            "triton" => Kind::Triton,
            _ => Kind::LlamaCpp,
        }
    }

    /// The name of the provider, which is the word of the configuration.
    pub(super) fn name(self) -> &'static str {
        Kind::WORDS[self as usize]
    }

    /// What is asked. The server counts as up when one of the questions is answered: several of them can be turned off.
    pub(super) fn questions(self) -> &'static [Question] {
        match self {
            Kind::LlamaCpp => const { &[question("/metrics", llama_metrics), question("/slots", slots), question("/props", props)] },
            Kind::Vllm => const { &[question("/metrics", vllm)] },
            Kind::Ollama => const { &[question("/api/ps", running), question("/api/tags", tags), question("/api/version", version)] },
            Kind::Triton => const { &[question("/metrics", triton)] },
        }
    }
}

const LLAMA: &[Rule] = &[
    labelled("llamacpp:prompt_tokens_total", "gen_ai_server_tokens_total", INPUT),
    labelled("llamacpp:tokens_predicted_total", "gen_ai_server_tokens_total", OUTPUT),
    labelled("llamacpp:prompt_seconds_total", "gen_ai_server_compute_seconds_total", &[("phase", "prompt")]),
    labelled("llamacpp:tokens_predicted_seconds_total", "gen_ai_server_compute_seconds_total", &[("phase", "generation")]),
    labelled("llamacpp:prompt_tokens_seconds", "gen_ai_server_tokens_per_second", INPUT),
    labelled("llamacpp:predicted_tokens_seconds", "gen_ai_server_tokens_per_second", OUTPUT),
    named("llamacpp:requests_processing", "gen_ai_server_requests_running"),
    named("llamacpp:requests_deferred", "gen_ai_server_requests_waiting"),
    named("llamacpp:kv_cache_usage_ratio", "gen_ai_server_cache_usage_ratio"),
    named("llamacpp:n_decode_total", "gen_ai_server_executions_total"),
];

fn llama_metrics(text: &str, sheet: &mut Sheet) -> Result<(), String> {
    sheet.translate(text, LLAMA, &[("model", MODEL)])
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("the answer is no JSON: {error}"))
}

fn slots(text: &str, sheet: &mut Sheet) -> Result<(), String> {
    let answer = json(text)?;
    let all = answer.as_array().ok_or("the answer is no list of slots")?;
    // Earlier versions had a number for the state.
    let busy = |slot: &&Value| slot.get("is_processing").and_then(Value::as_bool).unwrap_or_else(|| slot.get("state").and_then(Value::as_u64) == Some(1));
    let working = all.iter().filter(busy).count();
    sheet.add("gen_ai_server_slots", &[("state", "busy")], working as f64);
    sheet.add("gen_ai_server_slots", &[("state", "idle")], (all.len() - working) as f64);
    Ok(())
}

fn props(text: &str, sheet: &mut Sheet) -> Result<(), String> {
    let answer = json(text)?;
    let word = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).filter(|word| !word.is_empty());
    let path = word("/model_path").map(|path| path.rsplit('/').next().unwrap_or(path));
    let model: Vec<(&str, &str)> = word("/model_alias").or(path).map(|name| (MODEL, name)).into_iter().collect();
    if let Some(tokens) = answer.pointer("/default_generation_settings/n_ctx").and_then(Value::as_f64) {
        sheet.add("gen_ai_server_context_tokens", &model, tokens);
    }
    if !model.is_empty() {
        sheet.add("gen_ai_server_model_loaded", &model, 1.0);
    }
    if let Some(version) = word("/build_info") {
        sheet.add("gen_ai_server_info", &[("version", version)], 1.0);
    }
    Ok(())
}

const VLLM: &[Rule] = &[
    named("vllm:num_requests_running", "gen_ai_server_requests_running"),
    named("vllm:num_requests_waiting", "gen_ai_server_requests_waiting"),
    labelled("vllm:prompt_tokens_total", "gen_ai_server_tokens_total", INPUT),
    labelled("vllm:generation_tokens_total", "gen_ai_server_tokens_total", OUTPUT),
    labelled("vllm:request_success_total", "gen_ai_server_requests_total", SUCCESS),
    named("vllm:gpu_cache_usage_perc", "gen_ai_server_cache_usage_ratio"),
    named("vllm:kv_cache_usage_perc", "gen_ai_server_cache_usage_ratio"),
    named("vllm:num_preemptions_total", "gen_ai_server_preemptions_total"),
    named("vllm:prefix_cache_hits_total", "gen_ai_server_prefix_cache_hits_total"),
    named("vllm:prefix_cache_queries_total", "gen_ai_server_prefix_cache_queries_total"),
    named("vllm:gpu_prefix_cache_hits_total", "gen_ai_server_prefix_cache_hits_total"),
    named("vllm:gpu_prefix_cache_queries_total", "gen_ai_server_prefix_cache_queries_total"),
    named("vllm:e2e_request_latency_seconds", "gen_ai_server_request_duration_seconds"),
    named("vllm:time_to_first_token_seconds", "gen_ai_server_time_to_first_token_seconds"),
    named("vllm:time_per_output_token_seconds", "gen_ai_server_time_per_output_token_seconds"),
    named("vllm:inter_token_latency_seconds", "gen_ai_server_time_per_output_token_seconds"),
    named("vllm:request_queue_time_seconds", "gen_ai_server_time_in_queue_seconds"),
];

/// What was called otherwise in earlier versions.
const RENAMED: [(&str, &str); 4] = [
    ("vllm:gpu_cache_usage_perc", "vllm:kv_cache_usage_perc"),
    ("vllm:time_per_output_token_seconds", "vllm:inter_token_latency_seconds"),
    ("vllm:gpu_prefix_cache_hits_total", "vllm:prefix_cache_hits_total"),
    ("vllm:gpu_prefix_cache_queries_total", "vllm:prefix_cache_queries_total"),
];

fn vllm(text: &str, sheet: &mut Sheet) -> Result<(), String> {
    // For a while both names of one thing are there; the later ones count.
    let later = |name: &str| text.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']) || rest.starts_with("_count")));
    let old: Vec<&str> = RENAMED.iter().filter(|(_, new)| later(new)).map(|(old, _)| *old).collect();
    let keep = [("model_name", MODEL), ("engine", "engine"), ("finished_reason", "finish_reason")];
    let rules: Vec<Rule> = VLLM.iter().filter(|rule| !old.contains(&rule.from)).copied().collect();
    sheet.translate(text, &rules, &keep)
}

fn models(text: &str) -> Result<Vec<Value>, String> {
    match json(text)?.get_mut("models").map(Value::take) {
        Some(Value::Array(models)) => Ok(models),
        // Some versions say so when there is none.
        Some(Value::Null) => Ok(Vec::new()),
        _ => Err("the answer has no list of models".to_owned()),
    }
}

fn running(text: &str, sheet: &mut Sheet) -> Result<(), String> {
    let models = models(text)?;
    sheet.add("gen_ai_server_models", &[("state", "loaded")], models.len() as f64);
    for model in models.iter().take(MODELS_MAX) {
        let Some(name) = model.get("name").or_else(|| model.get("model")).and_then(Value::as_str) else { continue };
        let labels = [(MODEL, name)];
        sheet.add("gen_ai_server_model_loaded", &labels, 1.0);
        let figures = [
            ("size", "gen_ai_server_model_memory_bytes"),
            ("size_vram", "gen_ai_server_model_gpu_memory_bytes"),
            ("context_length", "gen_ai_server_context_tokens"),
        ];
        for (key, to) in figures {
            if let Some(value) = model.get(key).and_then(Value::as_f64) {
                sheet.add(to, &labels, value);
            }
        }
        if let Some(at) = model.get("expires_at").and_then(Value::as_str).and_then(Nanos::parse_rfc3339).filter(|at| at.0 > 0) {
            sheet.add("gen_ai_server_model_expiry_timestamp_seconds", &labels, at.0 as f64 / 1e9);
        }
    }
    Ok(())
}

fn tags(text: &str, sheet: &mut Sheet) -> Result<(), String> {
    let models = models(text)?;
    sheet.add("gen_ai_server_models", &[("state", "available")], models.len() as f64);
    for model in models.iter().take(MODELS_MAX) {
        if let (Some(name), Some(size)) = (model.get("name").and_then(Value::as_str), model.get("size").and_then(Value::as_f64)) {
            sheet.add("gen_ai_server_model_disk_bytes", &[(MODEL, name)], size);
        }
    }
    Ok(())
}

fn version(text: &str, sheet: &mut Sheet) -> Result<(), String> {
    if let Some(version) = json(text)?.get("version").and_then(Value::as_str) {
        sheet.add("gen_ai_server_info", &[("version", version)], 1.0);
    }
    Ok(())
}

/// Microseconds into seconds.
const fn micros(from: &'static str, to: &'static str, fixed: &'static [(&'static str, &'static str)]) -> Rule {
    Rule { from, to, fixed, scale: 1e-6 }
}
/// It tells sums and how many succeeded, which is a histogram with one bucket.
const TRITON: &[Rule] = &[
    labelled("nv_inference_request_success", "gen_ai_server_requests_total", SUCCESS),
    labelled("nv_inference_request_failure", "gen_ai_server_requests_total", FAILURE),
    named("nv_inference_count", "gen_ai_server_inferences_total"),
    named("nv_inference_exec_count", "gen_ai_server_executions_total"),
    named("nv_inference_pending_request_count", "gen_ai_server_requests_waiting"),
    named("nv_inference_request_success", "gen_ai_server_request_duration_seconds_count"),
    labelled("nv_inference_request_success", "gen_ai_server_request_duration_seconds_bucket", &[("le", "+Inf")]),
    micros("nv_inference_request_duration_us", "gen_ai_server_request_duration_seconds_sum", &[]),
    named("nv_inference_request_success", "gen_ai_server_time_in_queue_seconds_count"),
    labelled("nv_inference_request_success", "gen_ai_server_time_in_queue_seconds_bucket", &[("le", "+Inf")]),
    micros("nv_inference_queue_duration_us", "gen_ai_server_time_in_queue_seconds_sum", &[]),
    micros("nv_inference_compute_input_duration_us", "gen_ai_server_compute_seconds_total", &[("phase", "input")]),
    micros("nv_inference_compute_infer_duration_us", "gen_ai_server_compute_seconds_total", &[("phase", "inference")]),
    micros("nv_inference_compute_output_duration_us", "gen_ai_server_compute_seconds_total", &[("phase", "output")]),
];

fn triton(text: &str, sheet: &mut Sheet) -> Result<(), String> {
    sheet.translate(text, TRITON, &[("model", MODEL), ("version", "version")])
}
