//! The description and the answers agree: every native route is described, and real answers have the described shape.

use std::sync::Arc;

use serde_json::{Value, json};
use watchfire_model::labels;
use watchfire_model::live::GpuSample;

use crate::auth::{Auth, Settings};
use crate::server::{Level, Route, Spec};
use crate::testing::{Faces, Memory, NOW, gpu_sample};

/// Checks a value against the parts of JSON Schema that our description uses; gives the place of the first difference.
fn conforms(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).ok_or_else(|| format!("{at}: {reference} leads nowhere"))?;
        return conforms(document, target, value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let failures: Vec<String> = choices.iter().filter_map(|c| conforms(document, c, value, at).err()).collect();
        return if failures.len() < choices.len() { Ok(()) } else { Err(failures.join(" and ")) };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let is = |t: &&str| match *t {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{at}: unknown type {other}"),
    };
    if !types.is_empty() && !types.iter().any(is) {
        return Err(format!("{at}: {value} is not {types:?}"));
    }
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            object.get(name).ok_or_else(|| format!("{at}: {name} is missing"))?;
        }
        for (name, inner) in object {
            let described = schema["properties"].get(name).or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()));
            let described = described.ok_or_else(|| format!("{at}: {name} is not described"))?;
            conforms(document, described, inner, &format!("{at}/{name}"))?;
        }
    }
    for (i, inner) in value.as_array().into_iter().flatten().enumerate() {
        conforms(document, &schema["items"], inner, &format!("{at}/{i}"))?;
    }
    Ok(())
}

/// What `shapes.json` has to hold: the shapes of all bodies by operation, and of the types that they refer to.
fn shapes(specs: &[Spec]) -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|s| {
        s.definitions_path = "/components/schemas".into();
        s.meta_schema = None;
    });
    let mut generator = settings.for_serialize().into_generator();
    let mut bodies = serde_json::Map::new();
    for spec in specs.iter().filter(|spec| !spec.doc.hidden) {
        for id in spec.methods.iter().map(|method| super::operation_id(method.as_str(), &spec.path)) {
            let request = spec.doc.request.map(|shape| (super::key(&id, super::REQUEST), shape));
            let answers = spec.doc.answers.iter().filter_map(|a| a.schema.map(|shape| (super::key(&id, a.status), shape)));
            bodies.extend(request.into_iter().chain(answers).map(|(key, shape)| (key, Value::from((shape.make)(&mut generator)))));
        }
    }
    json!({ "bodies": bodies, "schemas": generator.take_definitions(true) })
}

/// A line for each entry, so that changes are seen and the binary holds no indentation.
fn lines(shapes: &Value) -> String {
    let section = |name: &str| {
        let entries = shapes[name].as_object().unwrap().iter().map(|(key, shape)| format!("{}:{shape}", json!(key)));
        format!("\"{name}\":{{\n{}\n}}", entries.collect::<Vec<_>>().join(",\n"))
    };
    format!("{{{},\n{}}}\n", section("bodies"), section("schemas"))
}

#[test]
fn the_file_of_shapes_is_what_the_types_say() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Faces::new().clock.clone();
    let auth = Auth::start(Settings::default(), false, &[], dir.path(), Arc::new(Memory::default()), clock).unwrap();
    let mut specs: Vec<Spec> = crate::routes().iter().map(|r| r.spec().clone()).collect();
    specs.extend(crate::auth::routes::<()>(&auth).iter().map(|r| r.spec().clone()));
    let wanted = shapes(&specs);
    if std::env::var_os("WATCHFIRE_WRITE_SHAPES").is_some() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/openapi/shapes.json");
        std::fs::write(file, lines(&wanted)).unwrap();
    } else {
        let found: Value = serde_json::from_str(include_str!("shapes.json")).unwrap();
        assert_eq!(found, wanted, "run: WATCHFIRE_WRITE_SHAPES=1 cargo test -p watchfire-api shapes");
    }
}

#[tokio::test]
async fn every_native_route_is_described() {
    let faces = Faces::new();
    let document = faces.get("/api/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut seen = 0;
    for route in crate::native::routes()
        .iter()
        .chain(&crate::live::routes())
        .chain(&crate::llm::routes())
        .chain(&crate::gateway::routes())
        .chain(&crate::prometheus::routes())
    {
        let spec = route.spec();
        if spec.doc.hidden {
            continue;
        }
        for method in &spec.methods {
            let operation = &document["paths"][&spec.path][method.as_str().to_ascii_lowercase()];
            assert_eq!(operation["x-level"], spec.level.word(), "{method} {}", spec.path);
            assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{}", spec.path);
            seen += 1;
        }
    }
    assert!(seen >= 45, "{seen}");
}

#[tokio::test]
async fn operation_ids_are_unique_and_references_lead_somewhere() {
    let document = Faces::new().get("/api/openapi.json").await.json();
    let mut ids = std::collections::BTreeSet::new();
    for operation in document["paths"].as_object().unwrap().values().flat_map(|p| p.as_object().unwrap().values()) {
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn real_answers_have_the_described_shape() {
    let faces = Faces::new();
    let document = faces.get("/api/openapi.json").await.json();
    let check = async |path: &str| {
        let answer = faces.get(path).await;
        let plain = path.split('?').next().unwrap();
        let responses = &document["paths"][plain]["get"]["responses"];
        let response = responses.get(answer.status.as_str()).unwrap_or(&responses["default"]);
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path} has no schema for {}", answer.status);
        conforms(&document, schema, &answer.json(), path).unwrap_or_else(|difference| panic!("{difference}"));
    };
    let all = async || {
        for route in crate::native::routes().into_iter().chain(crate::llm::routes()).chain(crate::gateway::routes()) {
            let spec = route.spec();
            let is_json = spec.doc.answers.iter().any(|a| a.schema.is_some());
            if is_json && spec.methods.contains(&http::Method::GET) {
                check(&spec.path).await;
            }
        }
        check("/api/system/gpu/history?limit=x").await;
    };
    all().await;
    faces.house.held().gpu = vec![GpuSample::mock(NOW)];
    all().await;
    faces.house.held().gpu = vec![gpu_sample(NOW)];
    faces.house.put(labels!("__name__" => "hsi_detection_queue_depth"), &[(0, 2.0)]);
    faces.house.held().storage.failure = Some("disk is full".to_owned());
    all().await;
}

#[tokio::test]
async fn routes_of_others_are_described_when_they_are_named() {
    let faces = Faces::new();
    let route: Route<()> = Route::post("/api/auth/login", Level::Public, async || ()).summary("Log in").tag("access");
    faces.app.describe_too(vec![route.spec().clone()]);
    let document = faces.get("/api/openapi.json").await.json();
    let operation = &document["paths"]["/api/auth/login"]["post"];
    assert_eq!((&operation["summary"], &operation["security"]), (&json!("Log in"), &json!([])));
}

#[test]
fn the_checker_finds_differences() {
    let schema = json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": ["integer", "null"] } } });
    let check = |value: Value| conforms(&json!({}), &schema, &value, "").is_ok();
    assert!(check(json!({ "a": 1 })) && check(json!({ "a": null })));
    assert!(!check(json!({ "a": "x" })) && !check(json!({})) && !check(json!({ "a": 1, "b": 2 })) && !check(json!([])));
}

#[test]
fn the_reference_lists_every_route() {
    let page = include_str!("../../../../docs/reference/http-api.md");
    let rows: Vec<String> = crate::routes()
        .iter()
        .map(|route| route.spec())
        .filter(|spec| !spec.doc.hidden)
        .map(|spec| {
            let methods: Vec<&str> = spec.methods.iter().map(http::Method::as_str).collect();
            format!("| {} | `{}` | {} | {} |", methods.join(", "), spec.path, spec.level, spec.doc.summary)
        })
        .collect();
    let missing: Vec<&String> = rows.iter().filter(|row| !page.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/reference/http-api.md lacks these lines:\n{}", missing.iter().map(|r| format!("{r}\n")).collect::<String>());
}
