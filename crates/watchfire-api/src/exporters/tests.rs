//! Faces of exporters: what is passed on of a request, and in which form what is said comes back.

use std::sync::{Arc, Mutex};

use http::StatusCode;
use watchfire_model::batch::MetricType;
use watchfire_model::exporter::{Asker, Exporter, Question, Reply};
use watchfire_model::live::ViewFuture;
use watchfire_model::meter::Family;

use super::Face;
use crate::auth::Rights;
use crate::server::Level;
use crate::testing::Faces;

/// Notes what it is asked.
#[derive(Default)]
struct Heard(Mutex<Vec<Question>>);
impl Exporter for Heard {
    fn ask(&self, question: Question) -> ViewFuture<'_, Reply> {
        self.0.lock().unwrap().push(question);
        Box::pin(async { Reply::families(vec![Family::new("probe_success", MetricType::Gauge, "x").with(&[], 1.0)]) })
    }
}

#[tokio::test]
async fn prb_12_targets_come_as_parameters() {
    let heard = Arc::new(Heard::default());
    let passed = heard.clone();
    let faces = Faces::with(move |rooms| rooms.exporters.blackbox = passed);
    let headers = [("x-prometheus-scrape-timeout-seconds", "9.5")];
    let answer = faces.get_with("/blackbox/probe?module=m&target=http%3A%2F%2Fa%2F%3Fb%3Dc&x=1&x=2", &headers).await;
    assert_eq!((answer.status, answer.text().lines().last().map(str::to_owned)), (StatusCode::OK, Some("probe_success 1".to_owned())));
    faces.house.held().rights = Some(Rights::of(Level::Read));
    faces.get("/blackbox").await;
    let heard = heard.0.lock().unwrap();
    assert_eq!((heard[0].param("target"), heard[0].param("module"), heard[0].all("x").count()), (Some("http://a/?b=c"), Some("m"), 2));
    assert_eq!((heard[0].path.as_str(), heard[0].asker, heard[0].patience.map(|p| p.as_millis())), ("/probe", Asker::Admin, Some(9_500)));
    assert_eq!((heard[1].path.as_str(), heard[1].base, heard[1].asker, heard[1].patience), ("/", "/blackbox", Asker::Reader, None));
}

#[tokio::test]
async fn refusals_are_plain_and_liveness_is_public() {
    let faces = Faces::new();
    faces.house.held().rights = Some(Rights::NONE);
    for face in Face::ALL {
        assert_eq!(faces.get(&format!("{}/-/healthy", face.prefix())).await.status, StatusCode::OK);
        let refused = faces.get(&format!("{}/metrics", face.prefix())).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert!(!refused.text().starts_with('{'), "{}", refused.text());
    }
}
