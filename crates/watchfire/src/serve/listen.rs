//! Addresses: the main one, those of OTLP, and with `--drop-in` the ports of the faces that take over somebody's port. A default port that
//! is taken is told and passed over; one that was asked for is fatal.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use watchfire_api::auth::{self, Auth};
use watchfire_api::server::{Doors, Hosts, Route, build};
use watchfire_api::{App, elasticsearch, exporters, gateway, grafana, jaeger, loki, otlp, page, pyroscope, routes, tempo, zipkin};
use watchfire_model::meter::Meter;
use watchfire_model::state::StateStore;
use watchfire_model::time::SharedClock;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::listener::{GuardedBody, Limits, Protocol, Server, TlsFiles, bind as take};
use watchfire_net::tasks::Tasks;

use super::prometheus::Reloader;
use crate::settings::{Listen, Settings};

/// Ports of replaced programs whose face is served here, with the program's name.
const DROP_IN: [(u16, &str, Face); 15] = [
    (9090, "Prometheus", Face::Main),
    (9093, "Alertmanager", Face::Main),
    (3002, "Grafana", Face::Main),
    (3100, "Loki", Face::Loki),
    (3200, "Tempo", Face::Tempo),
    (4040, "Pyroscope", Face::Pyroscope),
    (9200, "Elasticsearch", Face::Elasticsearch),
    (9411, "Zipkin", Face::Zipkin),
    (16686, "Jaeger", Face::Jaeger),
    (9115, "blackbox_exporter", Face::Exporter(exporters::Face::Blackbox)),
    (7979, "json_exporter", Face::Exporter(exporters::Face::Json)),
    (9121, "redis_exporter", Face::Exporter(exporters::Face::Redis)),
    (9187, "postgres_exporter", Face::Exporter(exporters::Face::Postgres)),
    (9100, "node_exporter", Face::Exporter(exporters::Face::Node)),
    (12345, "Alloy", Face::Exporter(exporters::Face::Collect)),
];

/// Which routes a port has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Face {
    /// Those of the main port.
    Main,
    /// The same, with Loki's own at the root.
    Loki,
    /// The same, with Jaeger's own at the root.
    Jaeger,
    /// The same, with Zipkin's own at the root.
    Zipkin,
    /// The same, with Pyroscope's own at the root.
    Pyroscope,
    /// Elasticsearch's at the root, and nothing else.
    Elasticsearch,
    /// The same for Tempo.
    Tempo,
    /// The same for an exporter.
    Exporter(exporters::Face),
}

/// OTLP's own ports.
const OTLP_GRPC: u16 = 4317;
const OTLP_HTTP: u16 = 4318;
/// How long a connection of gRPC may rest: senders keep theirs from one export to the next.
const GRPC_IDLE: std::time::Duration = std::time::Duration::from_secs(300);

/// What we listen on.
pub(crate) struct Bound {
    main: TcpListener,
    address: SocketAddr,
    more: Vec<(TcpListener, Face)>,
    grpc: Option<TcpListener>,
    /// Ports of the gateway, and the upstream that each belongs to.
    gateway: Vec<(TcpListener, Option<String>)>,
}
impl Bound {
    /// Where we reach ourselves.
    pub(crate) fn own_address(&self) -> String {
        let ip = if self.address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { self.address.ip() };
        SocketAddr::new(ip, self.address.port()).to_string()
    }
    /// The port of the main address.
    pub(crate) fn own_port(&self) -> u16 {
        self.address.port()
    }
    /// The ports that we listen on.
    pub(crate) fn own_ports(&self) -> Vec<u16> {
        let more = self.more.iter().map(|(listener, _)| listener).chain(&self.grpc);
        let more = more.filter_map(|listener| listener.local_addr().ok()).map(|address| address.port());
        std::iter::once(self.address.port()).chain(more).collect()
    }
    /// The addresses that we listen on.
    pub(crate) fn own_addresses(&self) -> Vec<SocketAddr> {
        let listeners = self.more.iter().map(|(listener, _)| listener).chain(&self.grpc).chain(self.gateway.iter().map(|(listener, _)| listener));
        std::iter::once(self.address).chain(listeners.filter_map(|listener| listener.local_addr().ok())).collect()
    }
    /// The ports at which a face of an exporter stands at the root.
    pub(crate) fn ports_of(&self, wanted: exporters::Face) -> Vec<u16> {
        let own = self.more.iter().filter(|(_, face)| *face == Face::Exporter(wanted));
        own.filter_map(|(listener, _)| listener.local_addr().ok()).map(|address| address.port()).collect()
    }
    /// Where the page is found from here.
    pub(crate) fn own_url(&self, settings: &Settings) -> String {
        format!("{}://{}", if settings.server.tls.is_some() { "https" } else { "http" }, self.own_address())
    }
}

/// Takes the addresses before anything is opened or written.
pub(crate) fn bind(settings: &Settings) -> Result<Bound> {
    let wanted = settings.server.listen;
    let main = match take(wanted) {
        Err(error) if error.is_taken() && !settings.server.listen_explicit => {
            eprintln!("watchfire: {wanted} is taken by another program; using a free port instead (say --listen to choose one)");
            take(SocketAddr::new(wanted.ip(), 0))
        }
        outcome => outcome,
    };
    let main = main.context("cannot start")?;
    let address = main.local_addr().context("cannot start")?;
    let grpc = beside(settings.otlp.grpc, SocketAddr::new(wanted.ip(), OTLP_GRPC), "OTLP over gRPC")?;
    let mut more: Vec<_> =
        beside(settings.otlp.http, SocketAddr::new(wanted.ip(), OTLP_HTTP), "OTLP over HTTP")?.map(|listener| (listener, Face::Main)).into_iter().collect();
    if settings.drop_in {
        for (port, program, face) in DROP_IN {
            match take(SocketAddr::new(wanted.ip(), port)) {
                Ok(listener) => more.push((listener, face)),
                Err(error) => eprintln!("watchfire: not standing in for {program}: {error}"),
            }
        }
    }
    let at = |(address, upstream): &(SocketAddr, Option<String>)| {
        take(*address).map(|listener| (listener, upstream.clone())).context("cannot start: no port for the gateway")
    };
    let gateway = settings.gateway.listen.iter().map(at).collect::<Result<_>>()?;
    Ok(Bound { main, address, more, grpc, gateway })
}

/// Takes an address beside the main one.
pub(super) fn beside(listen: Listen, usual: SocketAddr, what: &str) -> Result<Option<TcpListener>> {
    match listen {
        Listen::Off => Ok(None),
        Listen::At(address) => take(address).map(Some).with_context(|| format!("cannot start: no {what}")),
        Listen::Usual => Ok(take(usual).inspect_err(|error| eprintln!("watchfire: no {what}: {error}")).ok()),
    }
}

/// Reads who may do what. Blocks.
pub(crate) fn authenticate(settings: &Settings, state: Arc<dyn StateStore>, clock: &SharedClock) -> Result<Arc<Auth>> {
    let server = &settings.server;
    Ok(Auth::start(settings.auth.clone(), server.insecure_no_auth, &server.trusted_networks, &server.data_dir, state, clock.clone())?)
}

#[expect(clippy::too_many_arguments, reason = "the rooms that meet at the door; a struct would only rename them")]
/// Serves every address until the tasks are stopped. Gives the addresses for people.
pub(crate) fn serve(
    bound: Bound,
    settings: &Settings,
    app: Arc<App>,
    auth: &Arc<Auth>,
    tasks: &Tasks,
    clock: &SharedClock,
    meter: &Meter,
    reloader: &Reloader,
) -> Result<Vec<String>> {
    let server = &settings.server;
    let doors = Doors { hosts: Hosts::new(&super::host_name(), &server.allowed_hosts), identify: auth.clone(), meter: meter.clone(), clock: clock.clone() };
    let mut table = routes();
    let access = auth::routes::<Arc<App>>(auth);
    app.describe_too(access.iter().map(|r| r.spec().clone()).collect());
    table.extend(access);
    let router_of = |face: Face| match face {
        Face::Elasticsearch => build(elasticsearch::port_routes(), app.clone(), elasticsearch::fallback, doors.clone()),
        Face::Tempo => build(tempo::port_routes(), app.clone(), tempo::fallback, doors.clone()),
        Face::Exporter(face) => build(face.port_routes(), app.clone(), exporters::fallback, doors.clone()),
        Face::Main | Face::Loki | Face::Jaeger | Face::Zipkin | Face::Pyroscope => build(table_of(face, &table), app.clone(), page::fallback, doors.clone()),
    };
    let router = router_of(Face::Main);
    let tls = server.tls.as_ref().map(|(certificate, key)| TlsFiles::load(certificate.clone(), key.clone())).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut addresses = Vec::new();
    let serve = |listener: TcpListener, protocol: Protocol, router: &axum::Router| -> Result<SocketAddr> {
        let address = listener.local_addr().context("cannot start")?;
        let limits = match protocol {
            Protocol::Http1 => Limits::default(),
            Protocol::Http2 => Limits { idle: GRPC_IDLE, ..Limits::default() },
        };
        let one = Server { protocol, limits, tls: tls.clone(), meter: meter.clone(), tasks: tasks.clone() };
        let (router, app) = (router.clone(), app.clone());
        let service = tower::service_fn(move |request: http::Request<GuardedBody>| {
            let mut router = router.clone();
            let request = request.map(axum::body::Body::new);
            let app = app.clone();
            async move {
                let request = grafana::proxied(&app, request).await;
                match protocol {
                    Protocol::Http1 => tower::Service::call(&mut router, request).await,
                    Protocol::Http2 => Ok(otlp::grpc::serve(router, request).await),
                }
            }
        });
        tasks.spawn_until_done(format!("listener {address}"), one.serve(listener, service));
        Ok(address)
    };
    addresses.push(format!("{scheme}://{}", serve(bound.main, Protocol::Http1, &router)?));
    for (listener, face) in bound.more {
        let own = if face == Face::Main { router.clone() } else { router_of(face) };
        addresses.push(format!("{scheme}://{}", serve(listener, Protocol::Http1, &own)?));
    }
    if let Some(listener) = bound.grpc {
        tracing::info!(address = %serve(listener, Protocol::Http2, &router)?, "OTLP over gRPC");
    }
    for (listener, upstream) in bound.gateway {
        let routes = gateway::port_routes(upstream.as_deref());
        let router = build(routes, app.clone(), gateway::fallback, doors.clone());
        tracing::info!(address = %serve(listener, Protocol::Http1, &router)?, upstream, "gateway before language models");
    }
    if let Some(files) = tls {
        let again = files.clone();
        reloader.also(move || again.reload().map_err(|error| format!("certificates not renewed: {error}")));
        reload_certificates(tasks, files);
    }
    Ok(addresses)
}

/// The routes of a port. What a face has at its root takes the place of what is there on the main port.
fn table_of(face: Face, main: &[Route<Arc<App>>]) -> Vec<Route<Arc<App>>> {
    let own = match face {
        Face::Loki => loki::port_routes(),
        Face::Jaeger => jaeger::port_routes(),
        Face::Zipkin => zipkin::port_routes(),
        Face::Pyroscope => pyroscope::port_routes(),
        Face::Main | Face::Elasticsearch | Face::Tempo | Face::Exporter(_) => Vec::new(),
    };
    let replaced = |route: &&Route<Arc<App>>| own.iter().any(|o| o.spec().path == route.spec().path);
    let mut table: Vec<_> = main.iter().filter(|route| !replaced(route)).cloned().collect();
    table.extend(own);
    table
}

/// Certificates are renewed by other programs, which do not always tell us; they are read again every ten minutes.
pub(super) fn reload_certificates(tasks: &Tasks, files: Arc<TlsFiles>) {
    tasks.spawn("certificates", async move {
        let mut ticks = tokio::time::interval(std::time::Duration::from_secs(600));
        loop {
            ticks.tick().await;
            let again = files.clone();
            match spawn_blocking(move || again.reload()).await {
                Ok(Err(error)) => tracing::warn!(%error, "certificates not renewed; the ones before stay in use"),
                Ok(Ok(())) => {}
                Err(error) => tracing::error!(%error, "reading certificates panicked"),
            }
        }
    });
}
