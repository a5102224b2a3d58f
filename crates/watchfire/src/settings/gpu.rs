//! `gpu:`, how the GPU is watched. Watching itself is elsewhere.

use watchfire_model::document::Reader;
use watchfire_net::secret::Secret;

/// `gpu:`, with the seeds' variables.
#[derive(Debug)]
pub(crate) struct GpuSettings {
    pub(crate) poll_interval_s: f64,
    pub(crate) history_minutes: f64,
    pub(crate) http_timeout_s: f64,
    pub(crate) ai_service_urls: Vec<String>,
    pub(crate) database_url: Option<Secret>,
}
impl GpuSettings {
    /// Reads the section.
    pub(super) fn read(gpu: Reader<'_>) -> GpuSettings {
        let settings = GpuSettings {
            poll_interval_s: gpu.f64("poll_interval_seconds").unwrap_or(5.0),
            history_minutes: gpu.f64("stats_history_minutes").unwrap_or(60.0),
            http_timeout_s: gpu.f64("http_timeout").unwrap_or(5.0),
            ai_service_urls: gpu.texts("ai_service_urls", true),
            database_url: gpu.text("database_url").map(Secret::new),
        };
        let mut trial = watchfire_collect::gpu::Settings::new("");
        let warnings = [
            ("poll_interval_seconds", trial.set_poll_interval_seconds(settings.poll_interval_s)),
            ("stats_history_minutes", trial.set_history_minutes(settings.history_minutes)),
            ("http_timeout", trial.set_http_timeout_seconds(settings.http_timeout_s)),
        ];
        for (key, warning) in warnings {
            if let Some(warning) = warning {
                gpu.warning_at(key, warning);
            }
        }
        let is_web = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        for url in settings.ai_service_urls.iter().filter(|u| !is_web(u)) {
            gpu.error_at("ai_service_urls", format!("must begin with http:// or https://, not {url:?}"));
        }
        gpu.finish();
        settings
    }
}
