//! Filebeat's file as people write it, and the events that come of it.

use serde_json::Value;

use super::*;
use crate::logs::outputs::Destination;
use crate::logs::stages::tests::run;

fn parsed(text: &str) -> Parsed {
    let environment = |name: &str| (name == "LOGS").then(|| "/env".to_owned());
    parse("filebeat.yml", text, &Outside { environment: &environment, host: "edge" })
}

fn said(text: &str) -> Vec<String> {
    parsed(text).findings.iter().map(ToString::to_string).collect()
}

const VMS: &str = r#"
filebeat.inputs:
  - type: log
    enabled: true
    paths: [/var/log/vms/recording-engine/*.log]
    fields:
      component: recording
      environment: production
    multiline:
      pattern: '^\d{4}-\d{2}-\d{2}'
      negate: true
      match: after
  - type: log
    paths: [/var/log/vms/api/*.log]
    fields:
      component: api
    json:
      keys_under_root: true
      add_error_key: true
  - type: log
    paths: [/var/log/nginx/access.log]
    fields:
      component: nginx
output.logstash:
  hosts: ["logstash:5044"]
processors:
  - add_host_metadata:
      when.not.contains.tags: forwarded
  - add_cloud_metadata: ~
  - add_docker_metadata: ~
"#;

fn events(input: usize, lines: &[&str]) -> Vec<Value> {
    let config = parsed(VMS).config.unwrap();
    run(&config.files[input].stages, lines).iter().map(|entry| serde_json::from_str(&entry.line).unwrap()).collect()
}

#[test]
fn vms_33_recording_events_begin_with_a_date() {
    let found = events(0, &["2024-05-06 ERROR camera 7", "  at x", "2024-05-07 ok"]);
    assert_eq!(found.iter().map(|e| e["message"].as_str().unwrap()).collect::<Vec<_>>(), ["2024-05-06 ERROR camera 7\n  at x", "2024-05-07 ok"]);
    assert_eq!((found[0]["fields"]["component"].as_str(), found[0]["fields"]["environment"].as_str()), (Some("recording"), Some("production")));
    let config = parsed(VMS).config.unwrap();
    assert_eq!(config.files[0].groups[0].paths[0].text(), "/var/log/vms/recording-engine/*.log");
    let entry = run(&config.files[0].stages, &["2024-05-06 x"]).remove(0);
    assert_eq!((entry.labels["component"].as_str(), entry.labels["environment"].as_str()), ("recording", "production"));
}

#[test]
fn vms_34_api_events_are_json_at_the_top() {
    let found = events(1, &[r#"{"level":"ERROR","status":502,"response_time":30,"message":"bad"}"#, "no json"]);
    assert_eq!((found[0]["status"].as_i64(), found[0]["message"].as_str(), found[0]["fields"]["component"].as_str()), (Some(502), Some("bad"), Some("api")));
    assert_eq!((found[1]["message"].as_str(), found[1]["error"]["type"].as_str()), (Some("no json"), Some("json")));
}

#[test]
fn vms_35_the_access_log_has_its_component() {
    assert_eq!(parsed(VMS).config.unwrap().files[2].groups[0].paths[0].text(), "/var/log/nginx/access.log");
    assert_eq!(events(2, &["GET /"])[0]["fields"]["component"].as_str(), Some("nginx"));
}

#[test]
fn vms_36_events_have_the_host_and_go_to_ourselves() {
    assert_eq!(events(2, &["GET /"])[0]["host"]["hostname"].as_str(), Some("edge"));
    let said = said(VMS);
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(parsed(VMS).config.unwrap().outputs.is_empty(), "logstash is ourselves");
    assert!(said[0].contains("add_cloud_metadata finds nothing") && said[1].contains("add_docker_metadata finds nothing"), "{said:#?}");
}

#[test]
fn processors_and_conditions() {
    let text = "filebeat.inputs: [{type: filestream, id: a, paths: ['${LOGS}/*.log', '${NONE:/default}/x'], parsers: [{ndjson: {target: ''}}]}]\n\
                processors:\n\
                - drop_event.when.regexp.message: ^debug\n\
                - add_fields: {target: '', fields: {team: x}}\n\
                - add_tags: {tags: [t], when: {or: [{equals: {status: 500}}, {range: {status: {gte: 600}}}]}}\n\
                - rename: {fields: [{from: a.b, to: c}]}\n\
                - drop_fields: {fields: [log, input]}\n";
    let parsed = parsed(text);
    assert_eq!(parsed.findings, []);
    let source = &parsed.config.unwrap().files[0];
    assert_eq!(source.groups[0].paths.iter().map(|g| g.text()).collect::<Vec<_>>(), ["/env/*.log", "/default/x"]);
    let found = run(&source.stages, &[r#"{"message":"debug x"}"#, r#"{"message":"m","status":500,"a":{"b":1}}"#, r#"{"message":"n","status":1}"#]);
    let lines: Vec<&str> = found.iter().map(|e| e.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            r#"{"message":"m","status":500,"a":{},"host":{"name":"edge"},"team":"x","tags":["t"],"c":1}"#,
            r#"{"message":"n","status":1,"host":{"name":"edge"},"team":"x"}"#,
        ]
    );
}

#[test]
fn processors_that_cut_convert_and_append() {
    let text = "filebeat.inputs: [{type: log, paths: [/a]}]\n\
                processors:\n\
                - dissect: {tokenizer: '%{level} %{took} %{what}', target_prefix: ''}\n\
                - convert: {fields: [{from: took, to: ms, type: integer}, {from: what, to: event}], mode: rename}\n\
                - append: {target_field: tags, values: [web], fields: [level], allow_duplicate: false}\n\
                - drop_fields: {fields: [log.offset, log.file, input, host, message]}\n";
    assert_eq!(said(text), Vec::<String>::new());
    let source = parsed(text).config.unwrap().files.remove(0);
    let found: Vec<String> = run(&source.stages, &["ERROR 12 login failed", "ERROR soon login"]).into_iter().map(|e| e.line).collect();
    assert_eq!(
        found,
        [
            r#"{"log":{},"level":"ERROR","ms":12,"event":"login failed","tags":["ERROR","web"]}"#,
            r#"{"log":{},"level":"ERROR","took":"soon","what":"login","error":{"message":"cannot make what was asked for of took"},"tags":["ERROR","web"]}"#,
        ]
        .map(str::to_owned)
    );
    let wrong = "filebeat.inputs: [{type: log, paths: [/a]}]\nprocessors: [{convert: {fields: [{from: a, type: colour}]}}, {script: {lang: javascript}}]\n";
    let said = said(wrong);
    assert!(said[0].contains("must be integer, long, float, double, string, boolean or ip") && said[1].contains("script is not carried out"), "{said:?}");
}

#[test]
fn lines_join_by_number_and_while_they_match() {
    let check = |multiline: &str, lines: &[&str], expected: &[&str]| {
        for place in ["multiline: {M}", "parsers: [{multiline: {M}}]"] {
            let text = format!("filebeat.inputs: [{{type: filestream, paths: [/a], {}}}]\n", place.replace("{M}", &format!("{{{multiline}}}")));
            assert_eq!(said(&text), [""; 0]);
            let source = parsed(&text).config.unwrap().files.remove(0);
            let found: Vec<Value> = run(&source.stages, lines).iter().map(|entry| serde_json::from_str(&entry.line).unwrap()).collect();
            assert_eq!(found.iter().map(|event| event["message"].as_str().unwrap()).collect::<Vec<_>>(), expected, "{multiline}");
        }
    };
    check("type: count, count_lines: 2", &["a", "b", "c"], &["a\nb", "c"]);
    check("type: count, count_lines: 3, skip_newline: true", &["a", "b", "c", "d"], &["abc", "d"]);
    check("type: count, count_lines: 1", &["a", "b"], &["a", "b"]);
    check("type: while_pattern, pattern: '^\\{'", &["x", "{1", "{2", "y", "z", "{3"], &["x", "{1\n{2", "y", "z", "{3"]);
    check("type: while_pattern, pattern: '^\\{', negate: true", &["x", "y", "{1", "z"], &["x\ny", "{1", "z"]);
    check("type: pattern, pattern: '^\\s', match: after, skip_newline: true", &["a", " b", "c"], &["a b", "c"]);
    let wrong = said("filebeat.inputs: [{type: filestream, paths: [/a], multiline: {type: count}}]\n");
    assert!(wrong[0].contains("must say how many lines belong together"), "{wrong:?}");
}

#[test]
fn messages_of_syslog_are_taken_apart() {
    let check = |input: &str, line: &str, expected: &str, time: i64| {
        let text = format!(
            "filebeat.inputs: [{{type: filestream, paths: [/a], {input}}}]\nprocessors: [{{drop_fields: {{fields: [log.offset, log.file, input, host]}}}}]\n"
        );
        assert_eq!(said(&text), [""; 0]);
        let found = run(&parsed(&text).config.unwrap().files.remove(0).stages, &[line]).remove(0);
        assert_eq!((found.line.as_str(), found.time.0), (expected, time));
    };
    let modern = "<165>1 1970-01-01T00:00:02Z web app 7 ID [a@1 k=\"v\"] it works";
    let expected = r#"{"message":"it works","log":{"syslog":{"priority":165,"facility":{"code":20,"name":"local4"},"severity":{"code":5,"name":"Notice"},"hostname":"web","appname":"app","procid":"7","msgid":"ID","structured_data":{"a_k":"v"}}}}"#;
    check("parsers: [{syslog: {format: auto, add_error_key: true}}]", modern, expected, 2_000_000_000);
    check("processors: [{syslog: {field: message}}]", modern, expected, 2_000_000_000);
    let refused = r#"{"message":"no","log":{},"error":{"message":"cannot read the message as syslog: it begins with no priority"}}"#;
    check("parsers: [{syslog: }]", "no", refused, 0);
    check("processors: [{syslog: {ignore_failure: true}}]", "no", r#"{"message":"no","log":{}}"#, 0);
    check(
        "parsers: [{syslog: }, {include_message: {patterns: [^<]}}]",
        "<11>Jan  2 03:04:05 web cron[9]: hi",
        r#"{"message":"hi","log":{"syslog":{"priority":11,"facility":{"code":1,"name":"user-level"},"severity":{"code":3,"name":"Error"},"hostname":"web","appname":"cron","procid":"9"}}}"#,
        0,
    );
}

#[test]
fn rarer_processors() {
    let check = |processors: &str, message: &str, expected: &str| {
        let text = format!(
            "filebeat.inputs: [{{type: log, paths: [/a], json: {{keys_under_root: true}}}}]\nprocessors: [{processors}, {{drop_fields: {{fields: [log, input, host]}}}}]\n"
        );
        assert_eq!(said(&text), [""; 0]);
        let found = run(&parsed(&text).config.unwrap().files.remove(0).stages, &[message]).remove(0);
        assert_eq!(found.line, expected, "{processors}");
    };
    check("{decode_base64_field: {field: {from: a, to: b}}}", r#"{"a":"aMOk"}"#, r#"{"a":"aMOk","b":"hä"}"#);
    check("{decode_base64_field: {field: {from: a}}}", r#"{"a":"!"}"#, r#"{"a":"!","error":{"message":"cannot decode a"}}"#);
    check("{urldecode: {fields: [{from: a}], fail_on_error: false}}", r#"{"a":"x%20y+%C3%A4"}"#, r#"{"a":"x y ä"}"#);
    check("{urldecode: {fields: [{from: a}], fail_on_error: false}}", r#"{"a":"100%"}"#, r#"{"a":"100%"}"#);
    check("{replace: {fields: [{field: a.b, pattern: '(\\d+)', replacement: '<$1>'}]}}", r#"{"a":{"b":"1 x 22"}}"#, r#"{"a":{"b":"<1> x <22>"}}"#);
    check("{uppercase: {fields: [a]}}", r#"{"a":"straße"}"#, r#"{"a":"STRASSE"}"#);
    check("{extract_array: {field: a, mappings: {b: 0, c.d: 1, c.e: 0}}}", r#"{"a":[1,2]}"#, r#"{"a":[1,2],"b":1,"c":{"d":2,"e":1}}"#);
    let wrong = said(
        "filebeat.inputs: [{type: log, paths: [/a]}]\nprocessors: [{replace: {fields: [{field: a, pattern: '('}]}}, {move_fields: {}}, {extract_array: {field: a, mappings: {b: x}}}]\n",
    );
    assert!(
        wrong[0].contains("cannot compile") && wrong[1].contains("move_fields is not carried out") && wrong[2].contains("must be the place of an item"),
        "{wrong:?}"
    );
}

#[test]
fn lines_of_containers() {
    let text = "filebeat.inputs: [{type: container, stream: stdout, paths: [/c/*.log], exclude_lines: [^#]}]\n";
    let source = parsed(text).config.unwrap().files.remove(0);
    let lines = [
        r#"{"log":"a ","stream":"stdout","time":"1970-01-01T00:00:01Z"}"#,
        r#"{"log":"b\n","stream":"stdout","time":"1970-01-01T00:00:01Z"}"#,
        "1970-01-01T00:00:02Z stderr F no",
        "1970-01-01T00:00:03Z stdout F # no",
        "1970-01-01T00:00:04Z stdout F yes",
    ];
    let found = run(&source.stages, &lines);
    let shown: Vec<(i64, Value)> = found.iter().map(|e| (e.time.0, serde_json::from_str::<Value>(&e.line).unwrap()["message"].clone())).collect();
    assert_eq!(shown, [(1_000_000_000, "a b".into()), (4_000_000_000, "yes".into())]);
}

#[test]
fn names_of_inputs_do_not_depend_on_their_order() {
    let names = |inputs: &[&str]| -> Vec<String> {
        let text = format!("filebeat.inputs: [{}]\n", inputs.join(", "));
        let mut names: Vec<String> = parsed(&text).config.unwrap().files.iter().map(|source| source.name.clone()).collect();
        names.sort();
        names
    };
    let inputs = ["{type: log, paths: [/a/*.log, /b]}", "{type: log, id: own, paths: [/c]}", "{type: log, paths: [/d]}", "{type: log, paths: [/d]}"];
    let expected = ["filebeat//a/*.log,/b", "filebeat//d", "filebeat//d 2", "filebeat/own"];
    assert_eq!(names(&inputs), expected);
    assert_eq!(names(&[inputs[2], inputs[1], inputs[3], inputs[0]]), expected);
}

#[test]
fn what_is_not_understood_is_said_with_its_place() {
    let input = |more: &str| format!("filebeat.inputs:\n- type: log\n  paths: [/a]\n{more}");
    assert_eq!(said(&input("  pahts: x\n")), ["filebeat.yml:4:3: warning: unknown key \"pahts\" in filebeat.inputs[0]; did you mean \"paths\"?"]);
    assert_eq!(
        said(&input("processors: [{dissct: {}}]\n")),
        ["filebeat.yml:4:15: error: processors[0]: unknown processor \"dissct\"; did you mean \"dissect\"?"]
    );
    assert_eq!(said(&input("output.kafka: {hosts: ['k:9092']}\n")), ["filebeat.yml:4:15: warning: output.kafka: is not carried out; events are kept here"]);
    assert_eq!(said("filebeat.inputs: [{type: kafka}]\n").len(), 1);
}

#[test]
fn outputs_that_lead_elsewhere() {
    let text = "filebeat.inputs: [{type: log, paths: [/a]}]\n\
                output.elasticsearch: {hosts: ['es.example', 'https://other:9201/x', elasticsearch], username: u, password: p, path: /base, index: 'a-%{+yyyy}', pipeline: q, bulk_max_size: 7}\n\
                output.logstash: {hosts: ['ls.example:6000', ls2], ssl: {certificate_authorities: [/ca.pem]}, backoff: {init: 2s}}\n";
    let mut config = parsed(text).config.unwrap();
    config.join_outputs();
    assert_eq!(said(text), Vec::<String>::new());
    let [elastic, logstash] = &config.outputs[..] else { panic!("{:?}", config.outputs) };
    assert_eq!((elastic.url.expose(), elastic.batch_entries, elastic.retries), ("http://es.example:9200/base", 7, 0));
    let Destination::Elasticsearch { others, index, pipeline } = &elastic.destination else { panic!("{elastic:?}") };
    assert_eq!((others[0].expose(), others.len(), index.as_str(), pipeline.as_deref()), ("https://other:9201/x", 1, "a-%{+yyyy}", Some("q")));
    let Destination::Logstash { hosts, tls, .. } = &logstash.destination else { panic!("{logstash:?}") };
    assert_eq!(hosts, &[("ls.example".to_owned(), 6_000), ("ls2".to_owned(), 5_044)]);
    assert!(tls.is_some() && logstash.backoff.0.as_secs() == 2);
    assert_eq!(elastic.sources, ["files/filebeat//a".to_owned()].into());
    assert!(!format!("{:?}", config.outputs).contains("\"p\""), "passwords have no printable form");
}

/// The block of the documents, where it is at hand.
#[test]
fn the_documents_file_loads() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/catalogue/config_snippets/004_582_filebeat.yml");
    let Ok(text) = std::fs::read_to_string(root) else {
        eprintln!("SKIPPED: the documents' filebeat.yml is not at hand");
        return;
    };
    assert_eq!(parsed(&text).config.unwrap().files.len(), 3);
}
