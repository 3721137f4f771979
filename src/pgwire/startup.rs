//! The start of a connection: who, which database, and what the client is told.
//!
//! Without credentials any user is let in, without a password; with them a user
//! proves to know the password by SCRAM-SHA-256.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{Sink, SinkExt};
use pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramAuth, gen_salted_password};
use pgwire::api::auth::sasl::{SASLState, SCRAM_SHA_256_METHOD};
use pgwire::api::auth::{
    AuthSource, LoginInfo, Password, ServerParameterProvider, StartupHandler,
    finish_authentication, protocol_negotiation, save_startup_parameters_to_metadata,
};
use pgwire::api::{
    ClientInfo, ConnectionGuard, ConnectionHandle, ConnectionManager, METADATA_DATABASE,
    METADATA_USER, PgWireConnectionState, PidSecretKeyGenerator, RandomPidSecretKeyGenerator,
};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::startup::{self, Authentication, PasswordMessageFamily};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::error::{as_fatal, fatal, state};
use super::metadata::DATABASE;
use super::session::Session;
use super::settings::Settings;
use super::view::Sessions;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::service::Service;

/// What lets clients in, for all connections.
pub struct Door {
    /// Where running queries can be found to be canceled.
    connections: Arc<ConnectionManager>,
    sessions: Arc<Sessions>,
    clock: Arc<dyn Clock>,
    keys: RandomPidSecretKeyGenerator,
    scram: Option<ScramAuth>,
}

impl Door {
    pub fn new(
        connections: Arc<ConnectionManager>,
        sessions: Arc<Sessions>,
        service: &Service,
    ) -> Self {
        let passwords = |users| Arc::new(Passwords { users, secret: Uuid::new_v4() });
        let scram = service.credentials.clone().map(|users| ScramAuth::new(passwords(users)));
        let (clock, keys) = (service.clock.clone(), RandomPidSecretKeyGenerator::default());
        Self { connections, sessions, clock, keys, scram }
    }
}

/// The start of one connection.
pub struct Startup {
    door: Arc<Door>,
    /// Beyond the number of connections.
    surplus: bool,
    sasl: Mutex<SASLState>,
}

impl Startup {
    pub fn new(door: Arc<Door>, surplus: bool) -> Self {
        Self { door, surplus, sasl: Mutex::new(SASLState::Initial) }
    }

    /// One step of the proof; whether it is complete.
    async fn prove<C>(&self, client: &mut C, message: PasswordMessageFamily) -> PgWireResult<bool>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let mut sasl = self.sasl.lock().await;
        let Some(scram) = &self.door.scram else {
            return Err(fatal(state::PROTOCOL_VIOLATION, "no password was asked for"));
        };
        let message = match *sasl {
            SASLState::Initial => {
                let first = message.into_sasl_initial_response()?;
                if first.auth_method != SCRAM_SHA_256_METHOD {
                    let message = format!("the mechanism is {SCRAM_SHA_256_METHOD}");
                    return Err(fatal(state::PROTOCOL_VIOLATION, message));
                }
                *sasl = SASLState::ScramClientFirstReceived;
                PasswordMessageFamily::SASLInitialResponse(first)
            }
            _ => PasswordMessageFamily::SASLResponse(message.into_sasl_response()?),
        };
        // The name in the proof is empty with libpq; that of the start counts.
        let (answer, next) = match scram.process_scram_message(client, message, &sasl).await {
            Err(PgWireError::InvalidPassword(_)) => {
                let user = client.metadata().get(METADATA_USER).map_or("", String::as_str);
                let message = format!("password authentication failed for user \"{user}\"");
                return Err(fatal(state::WRONG_PASSWORD, message));
            }
            step => step?,
        };
        *sasl = next;
        client.send(PgWireBackendMessage::Authentication(answer)).await?;
        Ok(matches!(*sasl, SASLState::Finished))
    }

    /// Lets a client in whose user is settled.
    async fn admit<C>(&self, client: &mut C) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
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
        let mut settings = Settings::new(&user, asked);
        if let Some(options) = client.metadata().get("options") {
            settings.set_options(options).map_err(as_fatal)?;
        }
        let parameters = Parameters(settings.report().into_iter().collect());

        let (pid, key) = self.door.keys.generate(client);
        let session = Session::new(settings, pid, client.socket_addr(), self.door.clock.now());
        client.session_extensions().insert(session);
        client.set_pid_and_secret_key(pid, key.clone());
        let (handle, guard) = self.door.connections.register(pid, key);
        self.door.sessions.add(pid, &Session::of(client)?, handle.clone());
        client.session_extensions().insert::<Arc<ConnectionHandle>>(handle);
        client.session_extensions().insert::<ConnectionGuard>(guard);
        finish_authentication(client, &parameters).await
    }
}

/// Options of the protocol itself, which PostgreSQL has none of yet: the client is
/// told that they are not known.
async fn refuse_options<C>(client: &mut C, startup: &startup::Startup) -> PgWireResult<()>
where
    C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
    C::Error: Debug,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let options = startup.parameters.keys().filter(|name| name.starts_with("_pq_."));
    let options: Vec<String> = options.cloned().collect();
    if !options.is_empty() {
        let version = client.protocol_version().into();
        let refused = startup::NegotiateProtocolVersion::new(version, options);
        client.send(PgWireBackendMessage::NegotiateProtocolVersion(refused)).await?;
    }
    Ok(())
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
        match message {
            PgWireFrontendMessage::Startup(startup) => {
                protocol_negotiation(client, &startup).await?;
                refuse_options(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                let replication = startup.parameters.get("replication").map(String::as_str);
                if !matches!(replication, None | Some("false" | "off" | "no" | "0")) {
                    let message = "replication connections are not supported";
                    return Err(fatal(state::NOT_SUPPORTED, message));
                }
                if self.surplus {
                    let message =
                        "too many connections: their number is limited by --max-connections";
                    return Err(fatal(state::TOO_MANY_CONNECTIONS, message));
                }
                if self.door.scram.is_none() {
                    return self.admit(client).await;
                }
                if !client.metadata().contains_key(METADATA_USER) {
                    return Err(PgWireError::UserNameRequired);
                }
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                let asked = Authentication::SASL(vec![SCRAM_SHA_256_METHOD.to_owned()]);
                client.send(PgWireBackendMessage::Authentication(asked)).await?;
                Ok(())
            }
            PgWireFrontendMessage::PasswordMessageFamily(message) => {
                if self.prove(client, message).await? {
                    self.admit(client).await?;
                }
                Ok(())
            }
            _ => Err(fatal(state::PROTOCOL_VIOLATION, "a password message was expected")),
        }
    }
}

/// What the proof of a password is checked against.
struct Passwords {
    users: Arc<Credentials>,
    /// Salts are made from it: the same for a name as long as the service runs,
    /// whether there is such a user or not.
    secret: Uuid,
}

impl Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

#[async_trait]
impl AuthSource for Passwords {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        let name = login.user().unwrap_or_default();
        let salt = Uuid::new_v5(&self.secret, name.as_bytes()).into_bytes();
        let password = self.users.user(name).and_then(|user| user.password.clone());
        // Nobody knows the password of a user without one; the failure comes at
        // the end, as with a wrong password.
        let password = password.unwrap_or_else(|| Uuid::new_v4().to_string());
        let salted = gen_salted_password(&password, &salt, SCRAM_ITERATIONS);
        Ok(Password::new(Some(salt.to_vec()), salted))
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
