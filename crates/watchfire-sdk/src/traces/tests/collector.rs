//! A stand-in for a collector: it takes OTLP over gRPC or HTTP on a free port and keeps what it got.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tonic::{Request, Response, Status};

use crate::traces::Protocol;

/// The attributes of a span or resource by name, as text.
pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let value = attributes.iter().find(|kv| kv.key == name)?.value.clone()?;
    let AnyValue { value: Some(value) } = value else { return None };
    Some(match value {
        Any::StringValue(text) => text,
        Any::IntValue(n) => n.to_string(),
        Any::BoolValue(b) => b.to_string(),
        Any::DoubleValue(n) => n.to_string(),
        other => format!("{other:?}"),
    })
}

/// The spans that came, each with the name of its service.
#[derive(Clone, Default)]
pub(crate) struct Spans(Arc<Mutex<Vec<(String, Span)>>>);
impl Spans {
    fn take(&self, request: ExportTraceServiceRequest) {
        let mut all = self.0.lock().unwrap();
        for of_resource in request.resource_spans {
            let service = attribute(&of_resource.resource.unwrap_or_default().attributes, "service.name").unwrap_or_default();
            all.extend(of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| (service.clone(), span)));
        }
    }
    pub(crate) fn all(&self) -> Vec<(String, Span)> {
        self.0.lock().unwrap().clone()
    }
    pub(crate) fn named(&self, name: &str) -> Span {
        let all = self.all();
        let found = all.iter().find(|(_, span)| span.name == name).unwrap_or_else(|| panic!("no span {name} among {:?}", names(&all)));
        found.1.clone()
    }
}
fn names(all: &[(String, Span)]) -> Vec<&str> {
    all.iter().map(|(_, span)| span.name.as_str()).collect()
}

#[tonic::async_trait]
impl TraceService for Spans {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.take(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Starts one; it lives until the tests end.
pub(crate) fn start(protocol: Protocol) -> (String, Spans) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, spans) = (format!("http://{}", listener.local_addr().unwrap()), Spans::default());
    let theirs = spans.clone();
    std::thread::spawn(move || match protocol {
        Protocol::Grpc => grpc(listener, theirs),
        Protocol::HttpProtobuf => listener.incoming().for_each(|stream| {
            let theirs = theirs.clone();
            std::thread::spawn(move || http(stream.unwrap(), &theirs));
        }),
    });
    (url, spans)
}

fn grpc(listener: TcpListener, spans: Spans) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        listener.set_nonblocking(true).unwrap();
        let incoming = tonic::transport::server::TcpIncoming::from(tokio::net::TcpListener::from_std(listener).unwrap());
        tonic::transport::Server::builder().add_service(TraceServiceServer::new(spans)).serve_with_incoming(incoming).await.unwrap();
    });
}

fn http(mut stream: std::net::TcpStream, spans: &Spans) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut length, mut head) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        assert!(head.starts_with("POST /v1/traces ") && head.to_ascii_lowercase().contains("application/x-protobuf"), "{head}");
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        spans.take(ExportTraceServiceRequest::decode(&*body).unwrap());
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}
