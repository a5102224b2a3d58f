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
