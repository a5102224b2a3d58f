//! Attributes of resource, scope and point → the labels of a series, in the order in which Prometheus lets one override
//! the other: attributes, promoted resource attributes, scope, `job` and `instance`.

use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::write::Reason;

use crate::label_bytes::{LABEL_BYTES_MAX, LABELS_MAX, TooManyBytes};
use crate::protobuf::{Message, Value, text};

use super::names::label_name;
use super::settings::Settings;
use super::translate::Problem;
use super::{DecodeError, value};

const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_INSTANCE: &str = "service.instance.id";
const IDENTIFYING: [&str; 3] = [SERVICE_NAMESPACE, SERVICE_NAME, SERVICE_INSTANCE];

/// Labels without a metric name, ascending by name, none empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Base(Vec<(String, String)>);

impl Base {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok().map(|at| self.0[at].1.as_str())
    }
    /// Sets a label; an empty value removes it.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(at) if value.is_empty() => drop(self.0.remove(at)),
            Ok(at) => value.clone_into(&mut self.0[at].1),
            Err(_) if value.is_empty() => {}
            Err(at) => self.0.insert(at, (name.to_owned(), value.to_owned())),
        }
    }
    /// Appends to a label, behind a semicolon where it has a value.
    fn join(&mut self, name: &str, value: &str) {
        match self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(at) => {
                let joined = &mut self.0[at].1;
                joined.push(';');
                joined.push_str(value);
            }
            Err(_) => self.set(name, value),
        }
    }
    /// The bytes of all of them.
    pub(super) fn bytes(&self) -> usize {
        bytes_of(&self.0)
    }
    /// The labels of a series of this name, with one more label where a part of a histogram or summary is meant.
    pub(super) fn named(&self, name: &str, extra: Option<(&str, &str)>) -> Labels {
        let own = |label: &str| label == METRIC_NAME || extra.is_some_and(|(e, _)| e == label);
        let mut pairs: Vec<(&str, &str)> = self.0.iter().map(|(n, v)| (n.as_str(), v.as_str())).filter(|(n, _)| !own(n)).collect();
        pairs.push((METRIC_NAME, name));
        pairs.extend(extra);
        pairs.sort_unstable();
        Labels::from_sorted(&pairs)
    }
}

fn bytes_of(labels: &[(String, String)]) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// Refuses labels by what they would be made of, before anything is copied: what a resource says once is meant by each of
/// its points or records.
pub(super) fn check_size(count: usize, bytes: usize) -> Result<(), (Reason, String)> {
    if count > LABELS_MAX {
        return Err((Reason::LabelCount, format!("{count} labels, more than {LABELS_MAX}")));
    }
    if bytes > LABEL_BYTES_MAX {
        return Err((Reason::LabelBytes, TooManyBytes::Series(bytes).to_string()));
    }
    Ok(())
}

/// A resource with what all of its series share.
#[derive(Default)]
pub(super) struct Resource<'a> {
    attributes: Vec<(&'a str, &'a [u8])>,
    promoted: Vec<(String, String)>,
    job: String,
    instance: String,
    /// The bytes of all that its series share.
    bytes: usize,
}

impl<'a> Resource<'a> {
    /// Resource { 1: KeyValue* }. What cannot be a label is left out of the promoted ones.
    pub(super) fn read(bytes: &'a [u8], settings: &Settings) -> Result<Resource<'a>, DecodeError> {
        let mut resource = Resource::default();
        for field in Message::new(bytes) {
            if let (1, Value::Bytes(bytes)) = field? {
                resource.attributes.push(value::pair(bytes)?);
            }
        }
        resource.attributes.sort_by_key(|(key, _)| *key);
        let get = |name: &str| resource.attributes.iter().find(|(key, _)| *key == name).map(|(_, v)| value::as_text(v)).transpose();
        if let Some(name) = get(SERVICE_NAME)? {
            resource.job = match get(SERVICE_NAMESPACE)? {
                Some(namespace) => format!("{namespace}/{name}"),
                None => name.into_owned(),
            };
        }
        resource.instance = get(SERVICE_INSTANCE)?.unwrap_or_default().into_owned();
        for (key, bytes) in &resource.attributes {
            if settings.promoted.contains(key)
                && let Some(name) = label_name(settings, key)
            {
                resource.promoted.push((name, value::as_text(bytes)?.into_owned()));
            }
        }
        resource.bytes = resource.job.len() + resource.instance.len() + bytes_of(&resource.promoted);
        Ok(resource)
    }

    /// The labels of `target_info`; `None` when it would say nothing, or nobody could tell about what.
    pub(super) fn target_info(&self, settings: &Settings) -> Result<Option<Labels>, Problem> {
        let named = !self.job.is_empty() || !self.instance.is_empty();
        if !named || self.attributes.iter().all(|(key, _)| IDENTIFYING.contains(key)) {
            return Ok(None);
        }
        check_size(self.attributes.len(), self.job.len() + self.instance.len() + attribute_bytes(&self.attributes))?;
        let ignored = |key: &str| !settings.keep_identifying && IDENTIFYING.contains(&key);
        let mut base = from_attributes(self.attributes.iter().copied().filter(|(key, _)| !ignored(key)), settings)?;
        self.identify(&mut base);
        Ok(Some(base.named("target_info", None)))
    }

    fn identify(&self, base: &mut Base) {
        for (name, value) in [("job", &self.job), ("instance", &self.instance)] {
            if !value.is_empty() {
                base.set(name, value);
            }
        }
    }
}

/// The labels that a scope adds, when it is to add any.
#[derive(Default)]
pub(super) struct Scope {
    labels: Vec<(String, String)>,
    bytes: usize,
}
impl Scope {
    /// InstrumentationScope { 1: name, 2: version, 3: KeyValue* }.
    pub(super) fn read(bytes: &[u8], schema_url: &str, settings: &Settings) -> Result<Scope, DecodeError> {
        let (mut name, mut version, mut labels) = ("", "", Vec::new());
        if !settings.promote_scope {
            return Ok(Scope::default());
        }
        for field in Message::new(bytes) {
            match field? {
                (1, Value::Bytes(bytes)) => name = text(bytes)?,
                (2, Value::Bytes(bytes)) => version = text(bytes)?,
                (3, Value::Bytes(bytes)) => {
                    let (key, bytes) = value::pair(bytes)?;
                    if let Some(label) = label_name(settings, &format!("otel_scope_{key}")) {
                        labels.push((label, value::as_text(bytes)?.into_owned()));
                    }
                }
                _ => {}
            }
        }
        if name.is_empty() {
            return Ok(Scope::default());
        }
        // These are set last, so that no attribute of the scope can take their names.
        for (label, value) in [("otel_scope_name", name), ("otel_scope_version", version), ("otel_scope_schema_url", schema_url)] {
            labels.push((label.to_owned(), value.to_owned()));
        }
        Ok(Scope { bytes: bytes_of(&labels), labels })
    }
}

/// The labels of a point.
pub(super) fn of_point(attributes: &[(&str, &[u8])], resource: &Resource<'_>, scope: &Scope, settings: &Settings) -> Result<Base, Problem> {
    check_size(attributes.len() + resource.promoted.len() + scope.labels.len(), resource.bytes + scope.bytes + attribute_bytes(attributes))?;
    let mut sorted = attributes.to_vec();
    sorted.sort_by_key(|(key, _)| *key);
    let mut base = from_attributes(sorted.into_iter(), settings)?;
    for (name, value) in &resource.promoted {
        if base.get(name).is_none() {
            base.set(name, value);
        }
    }
    resource.identify(&mut base);
    for (name, value) in &scope.labels {
        base.set(name, value);
    }
    Ok(base)
}

/// The bytes of attributes as they came.
fn attribute_bytes(attributes: &[(&str, &[u8])]) -> usize {
    attributes.iter().map(|(key, value)| key.len() + value.len()).sum()
}

/// Attributes in ascending order as labels. Two that end in one label are joined by a semicolon.
fn from_attributes<'a>(attributes: impl Iterator<Item = (&'a str, &'a [u8])>, settings: &Settings) -> Result<Base, Problem> {
    let mut base = Base::default();
    for (key, bytes) in attributes.filter(|(key, _)| *key != METRIC_NAME) {
        let Some(name) = label_name(settings, key) else {
            return Err(Problem::Refused(Reason::InvalidLabels, format!("no label name can be made of attribute {key:?}")));
        };
        let value = value::as_text(bytes)?;
        base.join(&name, &value);
    }
    Ok(base)
}
