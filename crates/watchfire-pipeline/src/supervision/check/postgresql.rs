//! The check `postgresql`: a connection, and one statement that reads no table.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::{Node, Reader};
use watchfire_net::postgres::{Address, connect};
use watchfire_net::tls::{ClientTls, client_config};

use super::{Check, Checking, Kind, elsewhere, failure, seen};
use crate::supervision::policy::Verdict;
use crate::supervision::settings::Outside;

pub(super) const KIND: Kind = Kind { key: "postgresql", read };

struct Postgresql(Address);

impl Postgresql {
    async fn ask(&self, within: Duration) -> Verdict {
        let asked = async {
            let (client, connection) = connect(&self.0, within).await.map_err(|error| error.to_string())?;
            tokio::select! {
                ended = connection => Err(ended.map_or_else(|error| error.to_string(), |()| "the server closed the connection".to_owned())),
                answer = client.batch_execute("SELECT 1") => answer.map_err(|error| error.to_string()),
            }
        };
        let why = match tokio::time::timeout(within, asked).await {
            Ok(Ok(())) => return Verdict::Healthy,
            Ok(Err(why)) => why,
            Err(_) => "no answer in time".to_owned(),
        };
        let why = format!("{}: {why}", self.0);
        match self.0.first_host() {
            Some((host, port)) => failure(why, &host, port).await,
            None => seen(why),
        }
    }
}

impl Check for Postgresql {
    fn look(&self, within: Duration) -> Checking<'_> {
        Box::pin(self.ask(within))
    }
    fn target(&self) -> String {
        self.0.to_string()
    }
    fn remote(&self) -> Option<String> {
        self.0.first_host().and_then(|(host, _)| elsewhere(&host))
    }
}

fn read(reader: &Reader<'_>, outside: &Outside<'_>) -> Option<Arc<dyn Check>> {
    if reader.raw("postgresql").and_then(Node::text).is_some() {
        return read_url(reader, "postgresql", outside);
    }
    let more = reader.map("postgresql")?;
    if more.raw("url").is_none() {
        more.error_at("url", "is missing");
    }
    let check = read_url(&more, "url", outside);
    more.finish();
    check
}

fn read_url(reader: &Reader<'_>, key: &'static str, outside: &Outside<'_>) -> Option<Arc<dyn Check>> {
    let url = outside.text(reader, key)?;
    // The system's authorities cost memory, so they are loaded only for a database that insists on them.
    let encryption = Address::insists_on_encryption(&url).then(|| client_config(&ClientTls::default())).transpose();
    let address = encryption.map_err(|error| error.to_string()).and_then(|tls| Address::parse(&url, tls.map(Arc::new)).map_err(|error| error.to_string()));
    match address {
        Ok(address) => Some(Arc::new(Postgresql(address))),
        Err(why) => {
            reader.error_at(key, why);
            None
        }
    }
}
