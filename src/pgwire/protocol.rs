//! The messages of the simple and the extended query protocol, each handed to
//! [`Handler`] with the session's limits around it.
//!
//! The library's own handling is replaced where it would collect a result
//! before sending it, or trust counts that the client made up.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::channel::oneshot;
use futures::{Sink, SinkExt};
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler, send_ready_for_query};
use pgwire::api::results::{FieldInfo, QueryResponse, Response, Tag};
use pgwire::api::stmt::{QueryParser, StoredStatement};
use pgwire::api::store::{Entry, PortalStore};
use pgwire::api::{
    ClientInfo, ClientPortalStore, ConnectionHandle, DEFAULT_NAME, PgWireConnectionState, Type,
};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Execute, Parse, ParseComplete, Sync as SyncMessage,
    TARGET_TYPE_BYTE_PORTAL, TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::simplequery::Query as QueryMessage;

use super::encode;
use super::error::{plain, state};
use super::handler::{Answer, Handler, Prepared};
use super::session::Session;

/// Runs to the end, to the time limit of the session, or until it is canceled.
async fn interruptible<C, T, W>(client: &mut C, work: W) -> PgWireResult<T>
where
    C: ClientInfo,
    W: AsyncFnOnce(&mut C) -> PgWireResult<T>,
{
    let handle = client.session_extensions().get::<Arc<ConnectionHandle>>();
    let canceled = match handle {
        Some(handle) => Some(handle.start_query().await),
        None => None,
    };
    let limit = Session::of(client)?.settings.lock().statement_timeout();
    tokio::select! {
        result = work(client) => result,
        () = signal(canceled) => {
            Err(plain(state::CANCELED, "canceling statement due to user request"))
        }
        () = elapsed(limit) => {
            Err(plain(state::CANCELED, "canceling statement due to statement timeout"))
        }
    }
}

async fn signal(canceled: Option<oneshot::Receiver<()>>) {
    let received = match canceled {
        Some(canceled) => canceled.await.is_ok(),
        None => false,
    };
    // Without a sender nobody can cancel any more.
    if !received {
        std::future::pending().await
    }
}

async fn elapsed(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

#[async_trait]
impl SimpleQueryHandler for Handler {
    async fn on_query<C>(&self, client: &mut C, message: QueryMessage) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        client.set_state(PgWireConnectionState::QueryInProgress);
        interruptible(client, async |client: &mut C| self.simple(client, &message.query).await)
            .await?;
        client.set_state(PgWireConnectionState::ReadyForQuery);
        let status = client.transaction_status();
        send_ready_for_query(client, status).await
    }

    async fn do_query<C>(&self, client: &mut C, text: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        // Everything is sent as it comes; nothing is left to send.
        self.simple(client, text).await.map(|()| Vec::new())
    }
}

#[async_trait]
impl QueryParser for Handler {
    type Statement = Arc<Prepared>;

    async fn parse_sql<C>(
        &self,
        client: &C,
        text: &str,
        types: &[Option<Type>],
    ) -> PgWireResult<Option<Self::Statement>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        Ok(self.prepare(client, text, types).await?.map(Arc::new))
    }

    fn get_parameter_types(&self, prepared: &Self::Statement) -> PgWireResult<Vec<Type>> {
        Ok(prepared.parameters.types.clone())
    }

    fn get_result_schema(
        &self,
        prepared: &Self::Statement,
        format: Option<&Format>,
    ) -> PgWireResult<Vec<FieldInfo>> {
        match &prepared.columns {
            Some(columns) => encode::fields(columns, format.unwrap_or(&Format::UnifiedText)),
            None => Ok(Vec::new()),
        }
    }
}

#[async_trait]
impl ExtendedQueryHandler for Handler {
    type Statement = Arc<Prepared>;
    type QueryParser = Self;

    fn query_parser(&self) -> Arc<Self::QueryParser> {
        Arc::new(Self { planner: self.planner.clone() })
    }

    async fn on_parse<C>(&self, client: &mut C, message: Parse) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.clone().unwrap_or_else(|| DEFAULT_NAME.to_owned());
        let session = Session::of(client)?;
        if name != DEFAULT_NAME && session.prepared.lock().contains(&name) {
            return Err(plain("42P05", format!("prepared statement \"{name}\" already exists")));
        }
        let types: Vec<_> = message.type_oids.iter().map(|oid| Type::from_oid(*oid)).collect();
        let prepared = interruptible(client, async |client: &mut C| {
            self.prepare(&*client, &message.query, &types).await
        });
        match prepared.await? {
            Some(prepared) => {
                let types = prepared.parameters.types.iter().cloned().map(Some).collect();
                let stored = StoredStatement::new(name.clone(), Arc::new(prepared), types);
                client.portal_store().put_statement(Arc::new(stored));
            }
            None => client.portal_store().put_empty_statement(&name),
        }
        if name != DEFAULT_NAME {
            session.prepared.lock().insert(name);
        }
        let complete = ParseComplete::new();
        Ok(client.feed(PgWireBackendMessage::ParseComplete(complete)).await?)
    }

    async fn on_bind<C>(&self, client: &mut C, message: Bind) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.statement_name.as_deref().unwrap_or(DEFAULT_NAME);
        let statement = client.portal_store().get_statement(name);
        let statement = statement.ok_or_else(|| PgWireError::StatementNotFound(name.to_owned()))?;
        let expected = statement.value().map_or(0, |s| s.statement.parameters.types.len());
        let (given, formats) = (message.parameters.len(), message.parameter_format_codes.len());
        if given != expected || (formats > 1 && formats != given) {
            let message = format!(
                "bind message supplies {given} parameters and {formats} formats, but prepared \
                 statement \"{}\" requires {expected}",
                message.statement_name.as_deref().unwrap_or_default()
            );
            return Err(plain(state::PROTOCOL_VIOLATION, message));
        }
        match statement {
            Entry::Value(statement) => {
                let portal = Portal::try_new(&message, statement)?;
                // Wrong result formats are found now, before anything runs.
                self.get_result_schema(
                    &portal.statement.statement,
                    Some(&portal.result_column_format),
                )?;
                client.portal_store().put_portal(Arc::new(portal));
            }
            Entry::Empty => {
                let portal = message.portal_name.as_deref().unwrap_or(DEFAULT_NAME);
                client.portal_store().put_empty_portal(portal);
            }
        }
        Ok(client.feed(PgWireBackendMessage::BindComplete(BindComplete::new())).await?)
    }

    async fn on_execute<C>(&self, client: &mut C, message: Execute) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        interruptible(client, async |client: &mut C| self.execute(client, &message).await).await
    }

    async fn on_sync<C>(&self, client: &mut C, _message: SyncMessage) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let status = client.transaction_status();
        // Some drivers send a script as one statement after the other, up to here.
        Session::of(client)?.forget_variables();
        client.portal_store().rm_portal(DEFAULT_NAME);
        if status == TransactionStatus::Idle {
            client.portal_store().clear_portals();
        }
        let ready = ReadyForQuery::new(status);
        Ok(client.send(PgWireBackendMessage::ReadyForQuery(ready)).await?)
    }

    async fn on_close<C>(&self, client: &mut C, message: Close) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        match message.target_type {
            TARGET_TYPE_BYTE_STATEMENT => {
                Session::of(client)?.prepared.lock().remove(name);
                client.portal_store().rm_statement(name);
            }
            TARGET_TYPE_BYTE_PORTAL => client.portal_store().rm_portal(name),
            other => return Err(PgWireError::InvalidTargetType(other)),
        }
        Ok(client.feed(PgWireBackendMessage::CloseComplete(CloseComplete::new())).await?)
    }

    async fn do_query<C>(
        &self,
        client: &mut C,
        portal: &Portal<Self::Statement>,
        _max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        Ok(match self.answer(client, portal).await? {
            Answer::Done { tag } => Response::Execution(Tag::new(&tag)),
            Answer::Rows { fields, rows, tag } => {
                let mut response = QueryResponse::new(fields, rows);
                response.set_command_tag(&tag);
                Response::Query(response)
            }
        })
    }
}
