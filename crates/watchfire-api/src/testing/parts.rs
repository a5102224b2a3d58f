//! Larger parts of the test house: the gateway and the queues. Not the house.

use super::*;

/// A gateway without upstreams, whose days begin in UTC.
pub(super) fn gateway(clock: &Arc<ManualClock>, counter: &Arc<TokenCounter>) -> Gateway {
    let parts = GatewayParts {
        settings: watchfire_pipeline::gateway::Settings::default(),
        caller: Arc::new(watchfire_net::client::Caller::new(clock.clone())),
        counter: counter.clone(),
        observe: Arc::new(Unobserved),
        total: Arc::new(|_| None),
        state: Arc::new(Memory::default()),
        journal: "/nonexistent/model-calls.journal".into(),
        clock: clock.clone(),
        zone: Some("UTC".to_owned()),
        meter: Meter::new(),
    };
    Gateway::open(parts).unwrap()
}

/// Queues in memory; their undo files live as long as the house.
pub(super) fn queues(house: &House, clock: &Arc<ManualClock>, meter: &Meter) -> Queues {
    let state = Arc::new(Memory::default());
    let dir = tempfile::tempdir().unwrap();
    let settings = queue::Settings::new(dir.path().join("undo"));
    house.held().directory = Some(dir);
    let backend = Arc::new(Embedded::open(state.clone(), &settings.names).unwrap());
    let parts = queue::Parts { backend, state, clock: clock.clone(), observe: Arc::new(Unobserved), meter: meter.clone(), seed: 1 };
    Queues::new(settings, parts)
}

/// Dashboards in memory, with one of a pack.
pub(super) fn boards(house: &Arc<House>, clock: &Arc<ManualClock>) -> Arc<crate::grafana::Boards> {
    let shipped = vec![("vms", r#"{"uid": "vms-one", "title": "Cameras", "tags": ["vms"], "schemaVersion": 39, "panels": []}"#.into())];
    let house = house.clone();
    let wanted = Arc::new(move || house.held().packs.clone());
    Arc::new(crate::grafana::Boards::open(Arc::new(Memory::default()), clock.clone(), shipped, wanted, 8000).unwrap())
}

/// One daily report, and no mail server to send it through.
pub(super) fn reports(house: &Arc<House>, clock: &Arc<ManualClock>) -> Arc<watchfire_alert::reports::Reports> {
    use watchfire_alert::reports::{Parts, Reports, read_list};
    use watchfire_model::document::{Context, Reader, parse_yaml};
    let node = parse_yaml("watchfire.yml", "reports:\n- {name: day, schedule: daily, to: a@example.com, dashboards: [one]}\n").unwrap();
    let context = Context::new("watchfire.yml");
    let asker = watchfire_alert::rules::Asker {
        source: house.clone(),
        logs: Some(house.clone()),
        engine: watchfire_query::promql::Engine::default(),
        pool: None,
        limits: watchfire_alert::rules::Limits { timeout: Duration::from_secs(60), samples_max: 50_000_000, memory_max: 1 << 30 },
        clock: clock.clone(),
    };
    Arc::new(Reports::new(Parts {
        reports: read_list(&Reader::new(&context, &node, ""), &|path| path.into()),
        asker,
        state: Arc::new(Memory::default()),
        clock: clock.clone(),
        meter: Meter::new(),
        smtp: Arc::new(Default::default),
        spent: None,
    }))
}
