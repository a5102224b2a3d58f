//! The whole program as its users meet it: started, asked by `curl`-like requests and real clients, killed, misconfigured.
//! One test binary for everything that needs the real process; what one room does alone is tested in that room.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod alertmanager;
mod basics;
mod cameras;
mod containers;
mod dashboards;
mod data;
mod demo;
mod deploy;
mod es_clients;
mod everything_forward;
mod exporters;
mod ffmpeg;
mod flows;
mod forward;
mod gateway;
mod guides;
mod late;
mod llm;
mod log_forward;
mod log_rules;
mod logs;
mod native;
mod node;
mod objectives;
mod originals;
mod otlp;
mod profiles;
mod prometheus;
mod pushed;
mod python;
mod queues;
mod remote_read;
mod report;
mod rules;
mod safe_mode;
mod sdk;
mod senders;
mod server;
mod slow_queries;
mod stacks;
mod supervision;
mod trace_forward;
mod tracing;
mod trial;
