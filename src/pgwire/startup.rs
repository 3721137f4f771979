//! The start of a connection: who, which database, and what the client is told.
//!
//! Any user is let in, without a password.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::Sink;
use pgwire::api::auth::{
    ServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation,
    save_startup_parameters_to_metadata,
};
use pgwire::api::{
    ClientInfo, ConnectionGuard, ConnectionHandle, ConnectionManager, METADATA_DATABASE,
    METADATA_USER, PidSecretKeyGenerator, RandomPidSecretKeyGenerator,
};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use super::error::{fatal, state};
use super::metadata::DATABASE;
use super::session::Session;
use super::settings::Settings;

/// Lets clients in.
pub struct Startup {
    /// Where running queries can be found to be canceled.
    pub connections: Arc<ConnectionManager>,
    keys: RandomPidSecretKeyGenerator,
}

impl Startup {
    pub fn new(connections: Arc<ConnectionManager>) -> Self {
        Self { connections, keys: RandomPidSecretKeyGenerator::default() }
    }
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(
        &self,
        client: &mut C,
        message: PgWireFrontendMessage,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let PgWireFrontendMessage::Startup(startup) = message else { return Ok(()) };
        protocol_negotiation(client, &startup).await?;
        save_startup_parameters_to_metadata(client, &startup);
        let user = client.metadata().get(METADATA_USER).cloned();
        let user = user.ok_or(PgWireError::UserNameRequired)?;
        // A client that names no database means the one called like the user.
        let database = client.metadata().get(METADATA_DATABASE).unwrap_or(&user);
        if !database.eq_ignore_ascii_case(DATABASE) {
            let message =
                format!("database \"{database}\" does not exist; the only one is \"{DATABASE}\"");
            return Err(fatal(state::UNKNOWN_DATABASE, message));
        }
        let asked = client.metadata().iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let settings = Settings::new(&user, asked);
        let parameters = Parameters(settings.report().into_iter().collect());
        client.session_extensions().insert(Session::new(settings));

        let (pid, key) = self.keys.generate(client);
        client.set_pid_and_secret_key(pid, key.clone());
        let (handle, guard) = self.connections.register(pid, key);
        client.session_extensions().insert::<Arc<ConnectionHandle>>(handle);
        client.session_extensions().insert::<ConnectionGuard>(guard);
        finish_authentication(client, &parameters).await
    }
}

/// The settings a client is told when it connects.
struct Parameters(HashMap<String, String>);

impl ServerParameterProvider for Parameters {
    fn server_parameters<C>(&self, _client: &C) -> Option<HashMap<String, String>>
    where
        C: ClientInfo,
    {
        Some(self.0.clone())
    }
}
