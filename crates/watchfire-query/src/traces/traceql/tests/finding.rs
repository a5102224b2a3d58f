//! What queries find.

use super::*;

fn check(text: &str, expected: &str) {
    assert_eq!(found(text), expected, "{text}");
}

#[test]
fn conditions_on_fields_of_a_span() {
    check("{}", "4:8,9 3:7 2:5,6 1:1,2,3,4");
    check(r#"{ name = "detect" }"#, "2:6 1:2");
    check(r#"{ name != "detect" && name != "loop" }"#, "3:7 2:5 1:1,3,4");
    check(r#"{ name =~ "S.*|I.*" }"#, "1:3,4");
    check(r#"{ name =~ "ELEC" }"#, "");
    check(r#"{ name !~ "[a-zG].*" }"#, "1:3,4");
    check(r#"{ resource.service.name = "database" }"#, "1:3,4");
    check(r#"{ .service.name = "database" && duration > 60ms }"#, "1:3");
    check(r#"{ resource.service.name =~ "data.*" }"#, "1:3,4");
    check("{ duration >= 5s }", "3:7");
    check("{ duration > 100ms && duration < 0.6s }", "1:2");
    check("{ duration * 2 > 9s }", "3:7");
    check("{ status = error }", "1:2");
    check("{ status = unset && kind = server && duration < 5ms }", "4:8,9");
    check("{ kind = client }", "1:2");
    check("{ kind != server }", "1:2");
    check(r#"{ statusMessage = "no camera" }"#, "1:2");
    check(&format!("{{ trace:id = \"{}\" }}", "02".repeat(16)), "2:5,6");
    check(&format!("{{ span:id = \"{}\" }}", "03".repeat(8)), "1:3");
    check(&format!("{{ span:parentID = \"{}\" }}", "02".repeat(8)), "1:3,4");
    check("{ parent = nil }", "2:5 1:1");
    check("{ span:parentID != nil && duration > 1s }", "3:7");
    check(r#"{ instrumentation:name = "lib" && instrumentation:version = "1.2" && instrumentation.team = "a" && kind = client }"#, "1:2");
    check("{ resource.pid = 7 }", "3:7");
}

#[test]
fn values_of_different_types_are_neither_equal_nor_unequal() {
    check("{ .http.status_code = 500 }", "1:2");
    check("{ .http.status_code != 500 }", "2:6");
    check("{ .http.status_code = 500.0 }", "1:2");
    check(r#"{ .http.status_code = "500" }"#, "");
    check(r#"{ .http.status_code != "500" }"#, "");
    check(r#"{ .http.status_code =~ "500" }"#, "");
    check("{ .http.status_code >= 200 && .http.status_code < 300 }", "2:6");
    check("{ .ratio = 0.5 }", "1:2");
    check("{ .ratio + 1 = 1.5 && .http.status_code / 2 = 250 && .http.status_code % 7 = 3 && .http.status_code - 1 = 499 }", "1:2");
    check("{ 2 ^ 3 = 8 && .ratio * 4 = 2 && -.ratio < 0 }", "1:2");
    check("{ .cached = true }", "1:2");
    check("{ .cached }", "1:2");
    check("{ !.cached && duration > 600ms && duration < 2s }", "1:1");
    check(r#"{ .empty = "" }"#, "1:2");
    check(r#"{ .empty =~ ".*" }"#, "1:2");
    check("{ .empty != nil }", "1:2");
    check(r#"{ span."a \"b\"" = "odd" }"#, "1:2");
    check(r#"{ .camera_id > "a" && .camera_id < "g" }"#, "1:2");
    check("{ .nothing != nil }", "");
    check("{ .nothing = nil && kind = client }", "1:2");
    check(r#"{ .nothing != "x" }"#, "");
    check(r#"{ !(.nothing = "x") && kind = client }"#, "1:2");
    check("{ .nothing > 1 || .nothing < 1 }", "");
    check("{ .rows / 0 > 1 && .rows % 0 = 1 }", "");
}

#[test]
fn events_and_links_have_several_values() {
    check(r#"{ event:name = "exception" }"#, "1:2");
    check(r#"{ event:name = "retry" && event.exception.type = "KeyError" }"#, "1:2");
    check(r#"{ event.exception.type =~ "Value.*" }"#, "1:2");
    check(r#"{ event.exception.type != "KeyError" }"#, "");
    check(r#"{ event.exception.type != "OSError" }"#, "1:2");
    check(r#"{ event.exception.type !~ "K.*" }"#, "");
    check("{ event:timeSinceStart > 15ms }", "1:2");
    check("{ event:timeSinceStart > 25ms }", "");
    check(r#"{ link.why = "batch" }"#, "1:2");
    check(&format!("{{ link:traceID = \"{}\" && link:spanID = \"{}\" }}", "09".repeat(16), "09".repeat(8)), "1:2");
    check("{ event:name = nil && kind = client }", "");
}

#[test]
fn what_depends_on_the_whole_trace() {
    check("{ traceDuration > 3s }", "3:7 1:1,2,3,4");
    check(r#"{ rootServiceName = "frontend" && resource.service.name = "backend" }"#, "2:6 1:2");
    check(r#"{ rootName = "GET /" && duration < 60ms }"#, "2:5,6 1:4");
    check("{ childCount = 2 }", "1:2");
    check("{ childCount > 0 && traceDuration < 3s && kind = server }", "4:8 2:5");
    check("{ nestedSetParent < 0 }", "2:5 1:1");
    check("{ nestedSetParent = -1 }", "2:5 1:1");
    check("{ nestedSetParent >= 0 && duration > 1s }", "3:7");
    check("{ nestedSetParent > 0 }", "4:9 2:6 1:2,3,4");
    check("{ nestedSetLeft = 2 }", "4:9 2:6 1:2");
    check("{ nestedSetRight = 8 }", "1:1");
    check(r#"{ parent.service.name = "backend" }"#, "4:9 1:3,4");
    check("{ parent.span.http.status_code = 500 }", "1:3,4");
    check(r#"{ parent.resource.service.name = "frontend" || false }"#, "2:6 1:2");
    check("{ !(traceDuration > 3s) }", "4:8,9 2:5,6");
}

#[test]
fn sets_together() {
    check(r#"{ name = "detect" } && { status = error }"#, "1:2");
    check(r#"{ name = "SELECT" } && { name = "GET /" }"#, "1:1,3");
    check(r#"{ name = "SELECT" } || { name = "cron" }"#, "3:7 1:3");
    check(r#"({ name = "SELECT" } || { name = "cron" }) && { duration > 0s }"#, "3:7 1:1,2,3,4");
}

#[test]
fn relations() {
    check(r#"{ name = "GET /" } > { }"#, "2:6 1:2");
    check(r#"{ name = "GET /" } >> { }"#, "2:6 1:2,3,4");
    check(r#"{ name = "detect" } > { resource.service.name = "database" }"#, "1:3,4");
    check(r#"{ name = "GET /" } > { name = "SELECT" }"#, "");
    check(r#"{ name = "SELECT" } < { }"#, "1:2");
    check(r#"{ name = "SELECT" } << { }"#, "1:1,2");
    check(r#"{ name = "SELECT" } ~ { }"#, "1:4");
    check(r#"{ name = "detect" } ~ { }"#, "");
    check(r#"{ name = "GET /" } !> { resource.service.name != "frontend" }"#, "4:8,9 3:7 1:3,4");
    check(r#"{ name = "detect" } !>> { traceDuration < 3s && kind = server }"#, "4:8,9 2:5,6");
    check(r#"{ name = "SELECT" } !< { traceDuration > 3s && duration < 1s }"#, "1:1,3,4");
    check(r#"{ name = "SELECT" } !<< { rootName = "GET /" }"#, "2:5,6 1:3,4");
    check(r#"{ name = "SELECT" } !~ { resource.service.name = "database" }"#, "1:3");
    check(r#"{ name = "GET /" } &> { duration > 400ms }"#, "1:1,2");
    check(r#"{ name = "GET /" } &>> { name = "SELECT" }"#, "1:1,3");
    check(r#"{ name = "SELECT" } &< { }"#, "1:2,3");
    check(r#"{ name = "SELECT" } &<< { kind = server }"#, "1:1,3");
    check(r#"{ name = "SELECT" } &~ { name = "INSERT" }"#, "1:3,4");
    check(r#"{ name = "loop" } > { name = "loop" }"#, "4:9");
    check(r#"{ name = "GET /" } > { name = "detect" } > { name = "SELECT" }"#, "1:3");
    check(r#"({ name = "GET /" } | count() > 0) >> { name = "INSERT" }"#, "1:4");
}

#[test]
fn pipelines() {
    check("{} | count() > 2", "1:1,2,3,4");
    check("{} | count() = 1", "3:7");
    check("{ .rows > 0 } | sum(.rows) = 8", "1:3,4");
    check("{ .rows > 0 } | max(.rows) - min(.rows) = 6", "1:3,4");
    check("{} | avg(duration) > 1s", "3:7");
    check("{} | avg(duration) * 4 > 1s | count() = 4", "1:1,2,3,4");
    check("{} | min(.rows) > 0", "1:1,2,3,4");
    check("{} | by(resource.service.name)", "4:8,9 3:7 2:5|6 1:1|2|3,4");
    check("{} | by(resource.service.name) | count() > 1", "4:8,9 1:3,4");
    check("{} | by(resource.service.name) | count() = 1 | coalesce()", "3:7 2:5,6 1:1,2");
    check("{ duration < 1s } | { status = error }", "1:2");
    check("{} | by(resource.service.name) | { duration > 90ms }", "3:7 1:1|2|3");
    check(r#"{ name = "detect" } | select(.http.status_code, kind)"#, "2:6 1:2");
    check("by(name) | count() > 1", "4:8,9");
    check("count() > 3", "1:1,2,3,4");
}

#[test]
fn limits_of_traces_spans_and_time() {
    let source = source();
    let range = |start: i64, end: i64| Range { start: Nanos(start * SECOND), end: Nanos(end * SECOND) };
    let ask = |text: &str, wanted: Wanted| found_in(&source, text, &wanted);
    assert_eq!(ask("{}", Wanted { limit: 2, ..WANTED }), "4:8,9 3:7");
    assert_eq!(ask("{}", Wanted { limit: 0, ..WANTED }), "");
    assert_eq!(ask("{}", Wanted { spans: 1, ..WANTED }), "4:8 3:7 2:5 1:1");
    assert_eq!(ask("{}", Wanted { range: range(150, 250), ..WANTED }), "2:5,6");
    assert_eq!(ask("{}", Wanted { range: range(101, 102), ..WANTED }), "1:1,2,3,4", "of a trace that is found all spans count");
    assert_eq!(ask("{ kind = client }", Wanted { range: range(102, 999), ..WANTED }), "");
    assert_eq!(ask("{}", Wanted { range: range(9, 9), ..WANTED }), "");
}

#[test]
fn hundreds_of_traces_are_looked_through_in_pieces() {
    let source = Logs::new();
    for n in 0..=255u8 {
        // Many begin at the same moment.
        Made(n.max(1), n.max(1), 0, "a", "x", i64::from(n / 64), u64::from(n)).put(&source, |_, _| {});
    }
    let matched = |text: &str, limit| search(&source, &query(text), &Wanted { limit, ..WANTED }, &budget()).unwrap().len();
    assert_eq!(matched("{}", 1_000), 255);
    assert_eq!(matched("{}", 100), 100);
    assert_eq!(matched("{ traceDuration > 250ms }", 1_000), 5);
    assert_eq!(matched("{ } | avg(duration) < 5ms", 1_000), 4);
}

#[test]
fn what_is_told_of_a_find() {
    let text =
        r#"{ .http.status_code > 0 && resource.service.name = "backend" && duration > 0s && event:name = "retry" } | by(status) | count() > 0 | select(kind)"#;
    let all = search(&source(), &query(text), &WANTED, &budget()).unwrap();
    let [one] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((one.root_service.as_str(), one.root_name.as_str(), one.start, one.duration), ("frontend", "GET /", Nanos(100 * SECOND), 3_050_000_000));
    let services: Vec<String> = one.services.iter().map(|(name, (spans, failed))| format!("{name} {spans} {failed}")).collect();
    assert_eq!(services, ["backend 1 1", "database 2 0", "frontend 1 0"]);
    let shown = |pairs: &[(String, Val<'static>)]| pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    let set = &one.sets[0];
    assert_eq!((set.matched, shown(&set.attributes)), (1, "by(status)=error count()=1".to_owned()));
    assert_eq!((set.spans[0].name.as_str(), set.spans[0].duration), ("detect", 500_000_000));
    assert_eq!(shown(&set.spans[0].attributes), r#"http.status_code=500 service.name="backend" event:name="exception" status=error kind=client"#);
}

/// A source that tells what it was asked for.
struct Asked(Logs, std::sync::Mutex<Vec<String>>);
impl LogSource for Asked {
    fn select_logs(
        &self,
        selection: &watchfire_model::logs::LogSelection,
        budget: &Budget,
        visit: &mut watchfire_model::logs::LogVisitor<'_>,
    ) -> Result<(), watchfire_model::read::ReadError> {
        let matchers: Vec<String> = selection.matchers.iter().map(|m| format!("{}{}{}", m.name, m.op.symbol(), m.value)).collect();
        self.1.lock().unwrap().push(matchers.join(" "));
        self.0.select_logs(selection, budget, visit)
    }
    fn log_volume(
        &self,
        selection: &watchfire_model::logs::LogSelection,
        budget: &Budget,
    ) -> Result<Vec<watchfire_model::logs::StreamVolume>, watchfire_model::read::ReadError> {
        self.0.log_volume(selection, budget)
    }
    fn log_label_names(&self, selection: &watchfire_model::logs::LogSelection, budget: &Budget) -> Result<Vec<String>, watchfire_model::read::ReadError> {
        self.0.log_label_names(selection, budget)
    }
    fn log_label_values(
        &self,
        name: &str,
        selection: &watchfire_model::logs::LogSelection,
        budget: &Budget,
    ) -> Result<Vec<String>, watchfire_model::read::ReadError> {
        self.0.log_label_values(name, selection, budget)
    }
}

#[test]
fn what_a_source_can_decide_it_is_asked() {
    let source = Asked(source(), std::sync::Mutex::default());
    let asked = |text: &str| {
        source.1.lock().unwrap().clear();
        search(&source, &query(text), &WANTED, &budget()).unwrap();
        source.1.lock().unwrap()[0].clone()
    };
    assert_eq!(asked(r#"{ resource.service.name = "a" && duration > 1s && name =~ "b.*" }"#), ":resource.service.name=a :name=~b.*");
    assert_eq!(asked(r#"{ span.x = "y" && span.n = 5 && span.b = true && span:id = "1" }"#), "x=y n=5 b=true :span=0000000000000001");
    assert_eq!(asked(r#"{ status = error && kind = unspecified && parent = nil }"#), ":status=error :kind= :parent=");
    assert_eq!(asked("{ nestedSetParent < 0 && true }"), ":parent=");
    assert_eq!(asked(r#"{ .x = "y" }"#), "", "it may be of the span or of the resource");
    assert_eq!(asked(r#"{ span.x = "y" || span.z = "y" }"#), "");
    assert_eq!(asked(r#"{ !(span.x = "y") }"#), "");
    assert_eq!(asked(r#"{ span.x = "" && span.n = 0 && resource.a =~ ".*" && span.x !~ "a" }"#), "", "what is kept otherwise, or not at all");
    assert_eq!(asked(r#"{ duration > 1s } >> { name = "x" }"#), ":name=x");
    assert_eq!(asked(r#"{ name = "x" } && { duration > 1s }"#), ":name=x");
    assert_eq!(asked(r#"{ name = "x" } !> { duration > 1s }"#), "", "there need not be one of the left side");
    assert_eq!(asked(r#"{ name = "x" } || { duration > 1s }"#), "");
}
