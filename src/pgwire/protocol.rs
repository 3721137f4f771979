//! The messages of the simple and the extended query protocol, each handed to
//! [`Handler`] with the session's limits around it.
//!
//! The library's own handling is replaced where it would collect a result
//! before sending it, or trust counts that the client made up.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{Sink, SinkExt};
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler, send_ready_for_query};
use pgwire::api::results::{FieldInfo, QueryResponse, Response, Tag};
use pgwire::api::stmt::QueryParser;
use pgwire::api::store::{Entry, PortalStore};
use pgwire::api::{ClientInfo, ClientPortalStore, DEFAULT_NAME, PgWireConnectionState, Type};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{NoData, ParameterDescription, RowDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete,
    Sync as SyncMessage, TARGET_TYPE_BYTE_PORTAL, TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::simplequery::Query as QueryMessage;

use super::encode;
use super::error::{plain, state};
use super::handler::{Answer, Handler};
use super::interrupt::{cancelable, timed};
use super::prepared::{Prepared, keep, shown, unknown_portal};
use super::session::{Session, unknown_statement};

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
        let session = Session::of(client)?;
        session.forget_unnamed();
        client.portal_store().rm_portal(DEFAULT_NAME);
        let done =
            cancelable(client, async |client: &mut C| self.simple(client, &message.query).await)
                .await;
        let status = client.transaction_status();
        let after = if done.is_ok() { status } else { status.to_error_state() };
        session.end_request(after, self.now());
        done?;
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
        Ok(self.prepare(client, text, types, false).await?.map(Arc::new))
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
        if name != DEFAULT_NAME && session.statements.lock().contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(plain(state::DUPLICATE_STATEMENT, message));
        }
        let types: Vec<_> = message.type_oids.iter().map(|oid| Type::from_oid(*oid)).collect();
        let limit = session.settings.lock().statement_timeout();
        let prepared = cancelable(client, async |client: &mut C| {
            timed(limit, self.prepare(&*client, &message.query, &types, false)).await
        });
        keep(&session, &name, prepared.await?.map(Arc::new))?;
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
        let session = Session::of(client)?;
        let statement = session.statements.lock().get(name).cloned();
        let statement = statement.ok_or_else(|| unknown_statement(shown(name)))?;
        if let Some(name) = &message.portal_name
            && client.portal_store().get_portal(name).is_some()
        {
            let message = format!("cursor \"{name}\" already exists");
            return Err(plain(state::DUPLICATE_CURSOR, message));
        }
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
        let formats =
            message.parameter_format_codes.iter().chain(&message.result_column_format_codes);
        if let Some(code) = formats.copied().find(|code| !matches!(code, 0 | 1)) {
            let message = format!("unsupported format code: {code}");
            return Err(plain(state::INVALID_PARAMETER, message));
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
        let limit = Session::of(client)?.settings.lock().statement_timeout();
        cancelable(client, async |client: &mut C| {
            timed(limit, self.execute(client, &message)).await
        })
        .await
    }

    async fn on_describe<C>(&self, client: &mut C, message: Describe) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        let session = Session::of(client)?;
        let text = Format::UnifiedText;
        let columns = match message.target_type {
            TARGET_TYPE_BYTE_STATEMENT => {
                let statement = session.statements.lock().get(name).cloned();
                let statement = statement.ok_or_else(|| unknown_statement(shown(name)))?;
                let prepared = statement.value().map(|s| s.statement.clone());
                let types = prepared.as_ref().map(|p| p.parameters.types.as_slice());
                let types = types.unwrap_or_default().iter().map(Type::oid).collect();
                let types = ParameterDescription::new(types);
                client.feed(PgWireBackendMessage::ParameterDescription(types)).await?;
                prepared.and_then(|p| p.columns.clone()).map(|c| encode::fields(&c, &text))
            }
            TARGET_TYPE_BYTE_PORTAL => match client.portal_store().get_portal(name) {
                Some(portal) => portal.value().and_then(|portal| {
                    let columns = portal.statement.statement.columns.as_ref()?;
                    Some(encode::fields(columns, &portal.result_column_format))
                }),
                // A cursor is a portal, too.
                None => {
                    let cursor = session.cursor(name).map_err(|_| unknown_portal(name))?;
                    Some(encode::fields(&cursor.schema, &text))
                }
            },
            other => return Err(PgWireError::InvalidTargetType(other)),
        };
        let described = match columns.transpose()? {
            Some(fields) => {
                let fields = fields.iter().map(Into::into).collect();
                PgWireBackendMessage::RowDescription(RowDescription::new(fields))
            }
            None => PgWireBackendMessage::NoData(NoData::new()),
        };
        Ok(client.feed(described).await?)
    }

    async fn on_sync<C>(&self, client: &mut C, _message: SyncMessage) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let status = client.transaction_status();
        let session = Session::of(client)?;
        // Some drivers send a script as one statement after the other, up to here.
        session.forget_variables();
        session.end_request(status, self.now());
        // Portals live as long as their transaction.
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
                Session::of(client)?.statements.lock().remove(name);
            }
            TARGET_TYPE_BYTE_PORTAL => {
                client.portal_store().rm_portal(name);
                Session::of(client)?.close(name);
            }
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
            // Never asked for: `on_execute` sends what there is itself.
            Answer::Copy(copy) => Response::Execution(Tag::new("COPY").with_rows(copy.rows())),
            Answer::Rows { fields, rows, tag } => {
                let mut response = QueryResponse::new(fields, rows);
                response.set_command_tag(&tag);
                Response::Query(response)
            }
        })
    }
}
