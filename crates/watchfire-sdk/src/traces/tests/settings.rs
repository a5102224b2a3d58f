//! What the environment says.

use crate::logs::Output;
use crate::logs::tests::Lines;
use crate::traces::{Protocol, TraceSettings};
use crate::{END_PATIENCE, Setup, get_trace_id, trace_span};

fn read(pairs: &[(&str, &str)]) -> Result<TraceSettings, String> {
    let get = |name: &str| pairs.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned());
    TraceSettings::read(get).map_err(|error| error.to_string())
}

#[test]
fn trc_01_tracing_is_off_unless_it_is_turned_on() {
    for (value, enabled) in [("", false), ("false", false), ("0", false), ("true", true), ("True", true), ("1", true), ("on", true)] {
        assert_eq!(read(&[("OTEL_ENABLED", value)]).unwrap().enabled, enabled, "{value:?}");
    }
    assert!(!read(&[]).unwrap().enabled);
    assert_eq!(read(&[("OTEL_ENABLED", "maybe")]).unwrap_err(), r#"cannot use OTEL_ENABLED="maybe": it must be true or false"#);
    let (endpoint, spans) = super::collector::start(Protocol::Grpc);
    let traces = TraceSettings { endpoint, ..TraceSettings::default() };
    let (dispatch, telemetry) = Setup { traces, ..Setup::default() }.build().unwrap();
    let id = tracing::dispatcher::with_default(&dispatch, || trace_span("s").with("a", 1).in_scope(get_trace_id));
    assert!(telemetry.flush(END_PATIENCE));
    assert_eq!((id, spans.all().len()), (None, 0));
}

#[test]
fn trc_04_the_service_is_nemotron_backend_unless_it_is_named() {
    assert_eq!(read(&[]).unwrap().service_name, "nemotron-backend");
    assert_eq!(read(&[("OTEL_SERVICE_NAME", "detector")]).unwrap().service_name, "detector");
}

#[test]
fn trc_05_spans_go_by_grpc_to_this_machine_unless_told_otherwise() {
    let url = |pairs: &[(&str, &str)]| read(pairs).unwrap().url();
    let (endpoint, insecure, protocol) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_INSECURE", "OTEL_EXPORTER_OTLP_PROTOCOL");
    assert_eq!(read(&[]).unwrap().protocol, Protocol::Grpc);
    assert_eq!(url(&[]), "http://localhost:4317");
    assert_eq!(url(&[(endpoint, "http://jaeger:4317/")]), "http://jaeger:4317");
    assert_eq!(url(&[(endpoint, "https://c:4317"), (insecure, "true")]), "http://c:4317");
    assert_eq!(url(&[(endpoint, "http://c:4317"), (insecure, "false")]), "https://c:4317");
    assert_eq!(url(&[(endpoint, "https://c:4317")]), "https://c:4317");
    assert_eq!(url(&[(endpoint, "c:4317")]), "http://c:4317");
    assert_eq!(url(&[(protocol, "http/protobuf")]), "http://localhost:4318/v1/traces");
    assert_eq!(url(&[(protocol, "http/protobuf"), (endpoint, "http://c:4318/v1/traces")]), "http://c:4318/v1/traces");
    assert!(read(&[(protocol, "carrier pigeon")]).unwrap_err().contains("grpc or http/protobuf"));
}

#[test]
fn trc_06_any_backend_that_speaks_otlp_can_be_named() {
    for backend in ["http://jaeger:4317", "http://tempo:4317", "http://zipkin:4317"] {
        let traces = TraceSettings { enabled: true, ..read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", backend)]).unwrap() };
        assert_eq!(traces.url(), backend);
        assert!(Setup { traces, ..Setup::default() }.build().is_ok(), "nobody has to be there at the start");
    }
}

#[test]
fn trc_07_rates_that_are_no_share_are_refused() {
    assert_eq!(read(&[]).unwrap().sample_rate.to_string(), "1");
    assert_eq!(read(&[("OTEL_TRACE_SAMPLE_RATE", "0.1")]).unwrap().sample_rate.to_string(), "0.1");
    for bad in ["1.1", "-0.1", "NaN", "ten"] {
        assert!(read(&[("OTEL_TRACE_SAMPLE_RATE", bad)]).unwrap_err().contains("a number from 0.0 to 1.0"), "{bad}");
    }
}

#[test]
fn trc_11_the_start_is_logged_with_the_word_telemetry() {
    for (enabled, part) in [(true, "tracing is on, spans of nemotron-backend go to http://127.0.0.1:9"), (false, "tracing is off")] {
        let lines = Lines::default();
        let traces = TraceSettings { enabled, endpoint: "http://127.0.0.1:9".to_owned(), ..TraceSettings::default() };
        let (dispatch, telemetry) = Setup { traces, output: Output::Writer(Box::new(lines.clone())), ..Setup::default() }.build().unwrap();
        tracing::dispatcher::with_default(&dispatch, || telemetry.announce());
        assert!(telemetry.flush(END_PATIENCE));
        let said = lines.all()[0]["message"].as_str().unwrap().to_owned();
        assert!(said.contains("telemetry") && said.contains(part), "{said}");
    }
}
