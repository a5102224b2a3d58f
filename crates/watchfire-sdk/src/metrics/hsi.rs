//! What programs of the pack `hsi` record, from its catalog: `cargo run -p watchfire-sdk --example write_names`
//! makes this file. It holds names and labels only.

use super::{Counter, Gauge, Histogram};

/// Inference time of the detector.
pub const YOLO26_INFERENCE_SECONDS: Histogram<0> = Histogram("hsi_yolo26_inference_seconds", []);

/// Inference time of the captioning model.
pub const FLORENCE_INFERENCE_SECONDS: Histogram<0> = Histogram("hsi_florence_inference_seconds", []);

/// Detections left out because the detector was not sure enough.
pub const DETECTIONS_FILTERED_LOW_CONFIDENCE_TOTAL: Counter<0> = Counter("hsi_detections_filtered_low_confidence_total", []);

/// Security events, by camera.
pub const EVENTS_BY_CAMERA_TOTAL: Counter<2> = Counter("hsi_events_by_camera_total", ["camera_id", "camera_name"]);

/// Security events that somebody has looked at.
pub const EVENTS_REVIEWED_TOTAL: Counter<0> = Counter("hsi_events_reviewed_total", []);

/// Security events that somebody has confirmed.
pub const EVENTS_ACKNOWLEDGED_TOTAL: Counter<2> = Counter("hsi_events_acknowledged_total", ["camera_name", "risk_level"]);

/// Batches closed because they were full.
pub const BATCH_MAX_DETECTIONS_REACHED_TOTAL: Counter<1> = Counter("hsi_batch_max_detections_reached_total", ["camera_id"]);

/// Prompts, by the template they were made from.
pub const PROMPT_TEMPLATE_USED_TOTAL: Counter<1> = Counter("hsi_prompt_template_used_total", ["template"]);

/// Connections that a Redis pool may have.
pub const REDIS_POOL_SIZE: Gauge<1> = Gauge("hsi_redis_pool_size", ["pool_type"]);

/// Connections of a Redis pool that are free.
pub const REDIS_POOL_AVAILABLE: Gauge<1> = Gauge("hsi_redis_pool_available", ["pool_type"]);

/// Connections of a Redis pool that are taken.
pub const REDIS_POOL_IN_USE: Gauge<1> = Gauge("hsi_redis_pool_in_use", ["pool_type"]);

/// Calls of the captioning model, by task.
pub const FLORENCE_TASK_TOTAL: Counter<1> = Counter("hsi_florence_task_total", ["task"]);

/// Enrichments that failed, by model.
pub const ENRICHMENT_FAILURES_TOTAL: Counter<1> = Counter("hsi_enrichment_failures_total", ["model"]);

/// Requests to an enrichment service that were tried again.
pub const ENRICHMENT_RETRY_TOTAL: Counter<1> = Counter("hsi_enrichment_retry_total", ["endpoint"]);

/// Tracks that were begun.
pub const TRACKS_CREATED_TOTAL: Counter<1> = Counter("hsi_tracks_created_total", ["camera_id"]);

/// Tracks that were found again.
pub const TRACKS_REIDENTIFIED_TOTAL: Counter<1> = Counter("hsi_tracks_reidentified_total", ["camera_id"]);

/// Tracks that ended, by reason.
pub const TRACKS_LOST_TOTAL: Counter<2> = Counter("hsi_tracks_lost_total", ["camera_id", "reason"]);

/// How long a track lasted.
pub const TRACK_DURATION_SECONDS: Histogram<2> = Histogram("hsi_track_duration_seconds", ["camera_id", "entity_type"]);

/// Tracks that go on now.
pub const TRACK_ACTIVE_COUNT: Gauge<1> = Gauge("hsi_track_active_count", ["camera_id"]);

/// Crossings of a zone's border.
pub const ZONE_CROSSINGS_TOTAL: Counter<3> = Counter("hsi_zone_crossings_total", ["zone_id", "direction", "entity_type"]);

/// Entries into a zone that should be empty.
pub const ZONE_INTRUSIONS_TOTAL: Counter<2> = Counter("hsi_zone_intrusions_total", ["zone_id", "severity"]);

/// Who is in a zone now.
pub const ZONE_OCCUPANCY: Gauge<1> = Gauge("hsi_zone_occupancy", ["zone_id"]);

/// How long somebody stayed in a zone.
pub const ZONE_DWELL_TIME_SECONDS: Histogram<1> = Histogram("hsi_zone_dwell_time_seconds", ["zone_id"]);

/// Times somebody stayed too long.
pub const LOITERING_ALERTS_TOTAL: Counter<2> = Counter("hsi_loitering_alerts_total", ["camera_id", "zone_id"]);

/// How long somebody stayed who stayed too long.
pub const LOITERING_DWELL_TIME_SECONDS: Histogram<1> = Histogram("hsi_loitering_dwell_time_seconds", ["camera_id"]);

/// Actions that were recognised.
pub const ACTION_RECOGNITION_TOTAL: Counter<2> = Counter("hsi_action_recognition_total", ["action_type", "camera_id"]);

/// How sure the model was of an action.
pub const ACTION_RECOGNITION_CONFIDENCE: Histogram<1> = Histogram("hsi_action_recognition_confidence", ["action_type"]);

/// How long it took to recognise an action.
pub const ACTION_RECOGNITION_DURATION_SECONDS: Histogram<0> = Histogram("hsi_action_recognition_duration_seconds", []);

/// Faces that were seen.
pub const FACE_DETECTIONS_TOTAL: Counter<2> = Counter("hsi_face_detections_total", ["camera_id", "match_status"]);

/// How well a face could be seen.
pub const FACE_QUALITY_SCORE: Histogram<0> = Histogram("hsi_face_quality_score", []);

/// Faces that were turned into numbers to compare.
pub const FACE_EMBEDDINGS_GENERATED_TOTAL: Counter<0> = Counter("hsi_face_embeddings_generated_total", []);

/// Faces that were known.
pub const FACE_MATCHES_TOTAL: Counter<1> = Counter("hsi_face_matches_total", ["person_id"]);

/// How long a database query took.
pub const DB_QUERY_DURATION_SECONDS: Histogram<0> = Histogram("hsi_db_query_duration_seconds", []);

/// Database queries that took too long.
pub const SLOW_QUERIES_TOTAL: Counter<0> = Counter("hsi_slow_queries_total", []);

/// How long a model took to warm up.
pub const MODEL_WARMUP_DURATION_SECONDS: Histogram<1> = Histogram("hsi_model_warmup_duration_seconds", ["model"]);

/// Requests that found a model cold.
pub const MODEL_COLD_START_TOTAL: Counter<1> = Counter("hsi_model_cold_start_total", ["model"]);

/// State of a model: 0 cold, 1 warming up, 2 warm.
pub const MODEL_WARMTH_STATE: Gauge<1> = Gauge("hsi_model_warmth_state", ["model"]);

/// Time since a model was last used; -1 when it never was.
pub const MODEL_LAST_INFERENCE_SECONDS_AGO: Gauge<1> = Gauge("hsi_model_last_inference_seconds_ago", ["model"]);

/// Time until the largest part of a page was shown.
pub const RUM_LCP_SECONDS: Histogram<2> = Histogram("hsi_rum_lcp_seconds", ["path", "rating"]);

/// Delay of a page's answer to the first input.
pub const RUM_FID_SECONDS: Histogram<2> = Histogram("hsi_rum_fid_seconds", ["path", "rating"]);

/// Delay of a page's answers to inputs.
pub const RUM_INP_SECONDS: Histogram<2> = Histogram("hsi_rum_inp_seconds", ["path", "rating"]);

/// How much a page's parts moved about while it was loaded.
pub const RUM_CLS: Histogram<2> = Histogram("hsi_rum_cls", ["path", "rating"]);

/// Time until the first byte of a page arrived.
pub const RUM_TTFB_SECONDS: Histogram<2> = Histogram("hsi_rum_ttfb_seconds", ["path", "rating"]);

/// Time until anything of a page was shown.
pub const RUM_FCP_SECONDS: Histogram<2> = Histogram("hsi_rum_fcp_seconds", ["path", "rating"]);

/// Time until a page was loaded.
pub const RUM_PAGE_LOAD_TIME_SECONDS: Histogram<2> = Histogram("hsi_rum_page_load_time_seconds", ["path", "rating"]);

/// Measurements that browsers sent.
pub const RUM_METRICS_TOTAL: Counter<2> = Counter("hsi_rum_metrics_total", ["metric_name", "rating"]);

/// Time of an analysis, by the version of the prompt.
pub const PROMPT_VERSION_LATENCY_SECONDS: Histogram<1> = Histogram("hsi_prompt_version_latency_seconds", ["version"]);

/// Spread of risk scores, by the version of the prompt.
pub const PROMPT_VERSION_RISK_SCORE_VARIANCE: Gauge<1> = Gauge("hsi_prompt_version_risk_score_variance", ["version"]);

/// Analyses in a comparison of prompts, by version.
pub const PROMPT_AB_TRAFFIC_TOTAL: Counter<1> = Counter("hsi_prompt_ab_traffic_total", ["version"]);

/// Analyses that were done a second time to compare.
pub const PROMPT_SHADOW_COMPARISONS_TOTAL: Counter<1> = Counter("hsi_prompt_shadow_comparisons_total", ["model"]);

/// Times an older version of a prompt was taken back.
pub const PROMPT_ROLLBACKS_TOTAL: Counter<1> = Counter("hsi_prompt_rollbacks_total", ["model"]);

/// Resident memory of the backend.
pub const PROCESS_MEMORY_RSS_BYTES: Gauge<0> = Gauge("hsi_process_memory_rss_bytes", []);

/// Memory limit of the backend's container.
pub const PROCESS_MEMORY_CONTAINER_LIMIT_BYTES: Gauge<0> = Gauge("hsi_process_memory_container_limit_bytes", []);

/// Used share of the memory limit of the backend's container.
pub const PROCESS_MEMORY_CONTAINER_USAGE_RATIO: Gauge<0> = Gauge("hsi_process_memory_container_usage_ratio", []);

/// HTTP requests answered.
pub const HTTP_REQUESTS_TOTAL: Counter<3> = Counter("http_requests_total", ["method", "endpoint", "status"]);

/// Time taken to answer an HTTP request.
pub const HTTP_REQUEST_DURATION_SECONDS: Histogram<2> = Histogram("http_request_duration_seconds", ["method", "endpoint"]);

/// Time of one inference of the Nemotron model.
pub const NEMOTRON_INFERENCE_SECONDS: Histogram<0> = Histogram("hsi_nemotron_inference_seconds", []);

/// Times the budget of a period was used up.
pub const BUDGET_EXCEEDED_TOTAL: Counter<1> = Counter("hsi_budget_exceeded_total", ["period"]);

/// State of a circuit breaker: 0 closed, 1 open, 2 half-open.
pub const CIRCUIT_BREAKER_STATE: Gauge<2> = Gauge("hsi_circuit_breaker_state", ["service", "breaker"]);

/// Times a circuit breaker opened.
pub const CIRCUIT_BREAKER_TRIPS_TOTAL: Counter<2> = Counter("hsi_circuit_breaker_trips_total", ["service", "breaker"]);

/// Images waiting to be looked at by the detector.
pub const DETECTION_QUEUE_DEPTH: Gauge<0> = Gauge("hsi_detection_queue_depth", []);

/// Batches of detections waiting for the language model.
pub const ANALYSIS_QUEUE_DEPTH: Gauge<0> = Gauge("hsi_analysis_queue_depth", []);

/// Dead letters in a place.
pub const DLQ_DEPTH: Gauge<1> = Gauge("hsi_dlq_depth", ["queue_name"]);

/// How long one stage of the pipeline took.
pub const STAGE_DURATION_SECONDS: Histogram<1> = Histogram("hsi_stage_duration_seconds", ["stage"]);

/// Round trip of one request to an AI service.
pub const AI_REQUEST_DURATION_SECONDS: Histogram<1> = Histogram("hsi_ai_request_duration_seconds", ["service"]);

/// Security events written.
pub const EVENTS_CREATED_TOTAL: Counter<0> = Counter("hsi_events_created_total", []);

/// Detections taken through the detector.
pub const DETECTIONS_PROCESSED_TOTAL: Counter<0> = Counter("hsi_detections_processed_total", []);

/// Detections, by the class of the object.
pub const DETECTIONS_BY_CLASS_TOTAL: Counter<1> = Counter("hsi_detections_by_class_total", ["object_class"]);

/// Confidence the detector gave its detections, 0 to 1.
pub const DETECTION_CONFIDENCE: Histogram<0> = Histogram("hsi_detection_confidence", []);

/// Risk score the language model gave an event, 0 to 100.
pub const RISK_SCORE: Histogram<0> = Histogram("hsi_risk_score", []);

/// Security events, by risk level.
pub const EVENTS_BY_RISK_LEVEL_TOTAL: Counter<1> = Counter("hsi_events_by_risk_level_total", ["level"]);

/// Tokens sent to the Nemotron model.
pub const NEMOTRON_TOKENS_INPUT_TOTAL: Counter<1> = Counter("hsi_nemotron_tokens_input_total", ["camera_id"]);

/// Tokens the Nemotron model answered with.
pub const NEMOTRON_TOKENS_OUTPUT_TOTAL: Counter<1> = Counter("hsi_nemotron_tokens_output_total", ["camera_id"]);

/// Present token throughput of the Nemotron model.
pub const NEMOTRON_TOKENS_PER_SECOND: Gauge<0> = Gauge("hsi_nemotron_tokens_per_second", []);

/// Estimated cost of tokens, in US dollars.
pub const NEMOTRON_TOKEN_COST_USD_TOTAL: Counter<1> = Counter("hsi_nemotron_token_cost_usd_total", ["camera_id"]);

/// Filled share of the model's context window per prompt; above 1 when a prompt is too long.
pub const LLM_CONTEXT_UTILIZATION: Histogram<0> = Histogram("hsi_llm_context_utilization", []);

/// Filled share of the context window in the latest prompt to a model.
pub const LLM_CONTEXT_UTILIZATION_RATIO: Gauge<1> = Gauge("hsi_llm_context_utilization_ratio", ["model"]);

/// Prompts that were shortened to fit the context window.
pub const PROMPTS_TRUNCATED_TOTAL: Counter<0> = Counter("hsi_prompts_truncated_total", []);

/// Prompts that filled the context window beyond the warning threshold.
pub const PROMPTS_HIGH_UTILIZATION_TOTAL: Counter<0> = Counter("hsi_prompts_high_utilization_total", []);

/// Tokens of a prompt.
pub const PROMPT_TOKENS: Histogram<0> = Histogram("hsi_prompt_tokens", []);

/// Sections removed from prompts so that they fit, by section.
pub const PROMPT_TRUNCATED_TOTAL: Counter<1> = Counter("hsi_prompt_truncated_total", ["section_name"]);

/// Lookups that the cache could answer.
pub const CACHE_HITS_TOTAL: Counter<1> = Counter("hsi_cache_hits_total", ["cache_type"]);

/// Lookups that the cache could not answer.
pub const CACHE_MISSES_TOTAL: Counter<1> = Counter("hsi_cache_misses_total", ["cache_type"]);

/// Cache entries thrown away, by reason.
pub const CACHE_INVALIDATIONS_TOTAL: Counter<2> = Counter("hsi_cache_invalidations_total", ["cache_type", "reason"]);

/// Lookups answered with an old entry while a new one was fetched.
pub const CACHE_STALE_HITS_TOTAL: Counter<1> = Counter("hsi_cache_stale_hits_total", ["cache_type"]);

/// Cache entries refreshed in the background, by outcome.
pub const CACHE_BACKGROUND_REFRESH_TOTAL: Counter<2> = Counter("hsi_cache_background_refresh_total", ["cache_type", "status"]);

/// Errors of the pipeline, by kind.
pub const PIPELINE_ERRORS_TOTAL: Counter<1> = Counter("hsi_pipeline_errors_total", ["error_type"]);

/// Times a worker was started again.
pub const WORKER_RESTARTS_TOTAL: Counter<1> = Counter("hsi_worker_restarts_total", ["worker_name"]);

/// Times a worker died.
pub const WORKER_CRASHES_TOTAL: Counter<1> = Counter("hsi_worker_crashes_total", ["worker_name"]);

/// Times a worker died more often than it is started again.
pub const WORKER_MAX_RESTARTS_EXCEEDED_TOTAL: Counter<1> = Counter("hsi_worker_max_restarts_exceeded_total", ["worker_name"]);

/// State of a supervised worker: 0 stopped, 1 running, 2 crashed, 3 restarting, 4 failed.
pub const WORKER_STATUS: Gauge<1> = Gauge("hsi_worker_status", ["worker_name"]);

/// Times a pipeline worker was started again, by why it had died.
pub const PIPELINE_WORKER_RESTARTS_TOTAL: Counter<2> = Counter("hsi_pipeline_worker_restarts_total", ["worker_name", "reason_category"]);

/// Time from the death of a pipeline worker until it ran again.
pub const PIPELINE_WORKER_RESTART_DURATION_SECONDS: Histogram<1> = Histogram("hsi_pipeline_worker_restart_duration_seconds", ["worker_name"]);

/// State of a pipeline worker: 0 stopped, 1 running, 2 restarting, 3 failed.
pub const PIPELINE_WORKER_STATE: Gauge<1> = Gauge("hsi_pipeline_worker_state", ["worker_name"]);

/// Failures of a pipeline worker since its last success.
pub const PIPELINE_WORKER_CONSECUTIVE_FAILURES: Gauge<1> = Gauge("hsi_pipeline_worker_consecutive_failures", ["worker_name"]);

/// Time since a pipeline worker was last started; -1 when it does not run.
pub const PIPELINE_WORKER_UPTIME_SECONDS: Gauge<1> = Gauge("hsi_pipeline_worker_uptime_seconds", ["worker_name"]);

/// Workers that are up.
pub const WORKER_ACTIVE_COUNT: Gauge<0> = Gauge("hsi_worker_active_count", []);

/// Workers that have a task in hand.
pub const WORKER_BUSY_COUNT: Gauge<0> = Gauge("hsi_worker_busy_count", []);

/// Workers that wait for a task.
pub const WORKER_IDLE_COUNT: Gauge<0> = Gauge("hsi_worker_idle_count", []);

/// Calls of an enrichment model.
pub const ENRICHMENT_MODEL_CALLS_TOTAL: Counter<1> = Counter("hsi_enrichment_model_calls_total", ["model"]);

/// How long one call of an enrichment model took.
pub const ENRICHMENT_MODEL_DURATION_SECONDS: Histogram<1> = Histogram("hsi_enrichment_model_duration_seconds", ["model"]);

/// Calls of an enrichment model that failed.
pub const ENRICHMENT_MODEL_ERRORS_TOTAL: Counter<1> = Counter("hsi_enrichment_model_errors_total", ["model"]);

/// Share of an enrichment model's calls that succeeded, 0 to 1.
pub const ENRICHMENT_SUCCESS_RATE: Gauge<1> = Gauge("hsi_enrichment_success_rate", ["model"]);

/// Batches that only some of the enrichment models could work on.
pub const ENRICHMENT_PARTIAL_BATCHES_TOTAL: Counter<0> = Counter("hsi_enrichment_partial_batches_total", []);

/// Batches sent through enrichment, by outcome.
pub const ENRICHMENT_BATCH_STATUS_TOTAL: Counter<1> = Counter("hsi_enrichment_batch_status_total", ["status"]);

/// GPU time spent on inference, by model.
pub const GPU_SECONDS_TOTAL: Counter<1> = Counter("hsi_gpu_seconds_total", ["model"]);

/// What the same work would have cost in a cloud, in US dollars.
pub const ESTIMATED_COST_USD_TOTAL: Counter<1> = Counter("hsi_estimated_cost_usd_total", ["service"]);

/// Cost of analysing events, in US dollars.
pub const EVENT_ANALYSIS_COST_USD_TOTAL: Counter<1> = Counter("hsi_event_analysis_cost_usd_total", ["camera_id"]);

/// Cost since the beginning of the day, in US dollars.
pub const DAILY_COST_USD: Gauge<0> = Gauge("hsi_daily_cost_usd", []);

/// Cost since the beginning of the month, in US dollars.
pub const MONTHLY_COST_USD: Gauge<0> = Gauge("hsi_monthly_cost_usd", []);

/// Spent share of the budget of a period; above 1 when it is exceeded.
pub const BUDGET_UTILIZATION_RATIO: Gauge<1> = Gauge("hsi_budget_utilization_ratio", ["period"]);

/// Mean cost of one detection, in US dollars.
pub const COST_PER_DETECTION_USD: Gauge<0> = Gauge("hsi_cost_per_detection_usd", []);

/// Mean cost of one event, in US dollars.
pub const COST_PER_EVENT_USD: Gauge<0> = Gauge("hsi_cost_per_event_usd", []);

/// Times a queue was full, by what was done about it.
pub const QUEUE_OVERFLOW_TOTAL: Counter<2> = Counter("hsi_queue_overflow_total", ["queue_name", "policy"]);

/// Items moved to the dead letter queue because their queue was full.
pub const QUEUE_ITEMS_MOVED_TO_DLQ_TOTAL: Counter<1> = Counter("hsi_queue_items_moved_to_dlq_total", ["queue_name"]);

/// Items dropped because their queue was full.
pub const QUEUE_ITEMS_DROPPED_TOTAL: Counter<1> = Counter("hsi_queue_items_dropped_total", ["queue_name"]);

/// Items refused because their queue was full.
pub const QUEUE_ITEMS_REJECTED_TOTAL: Counter<1> = Counter("hsi_queue_items_rejected_total", ["queue_name"]);
