//! Connecting to PostgreSQL: the spellings of its address, encryption where it is wanted, deadlines. What is asked of the database is
//! the business of whoever connects.

mod address;
mod tls;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

pub use address::Address;

use crate::client::chain;

/// The database's address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the database address: {0}")]
pub struct AddressError(pub String);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to the database: {0}")]
pub struct ConnectError(pub String);

/// Carries the bytes of a connection; ends with the connection. It must be polled for the client to work.
pub type Connection = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>;

/// Makes a connection; each attempt may take so long.
pub async fn connect(address: &Address, timeout: Duration) -> Result<(Client, Connection), ConnectError> {
    let config = address.config();
    let encrypted = match address.tls() {
        Some(tls) => match within(timeout, config.connect(tls::Connector::new(tls.clone()))).await {
            Ok((client, connection)) => return Ok((client, Box::pin(connection))),
            Err(error) => Some(error),
        },
        None => None,
    };
    // `prefer` means what it means for every PostgreSQL client: without encryption where encryption does not work.
    let plain = match (encrypted, address.plain_config()) {
        (None, _) => config.clone(),
        (Some(_), Some(plain)) => plain,
        (Some(error), None) => return Err(error),
    };
    let (client, connection) = within(timeout, plain.connect(NoTls)).await?;
    Ok((client, Box::pin(connection)))
}

async fn within<T>(timeout: Duration, attempt: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, ConnectError> {
    match tokio::time::timeout(timeout, attempt).await {
        Ok(Ok(connected)) => Ok(connected),
        // tokio-postgres says what happened only in the cause.
        Ok(Err(error)) => Err(ConnectError(chain(&error))),
        Err(_) => Err(ConnectError(format!("no answer within {} s", timeout.as_secs_f64()))),
    }
}
