//! The options that limit what clients take, and the switches to behave as
//! Dataverse does where sysjob offers more.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::engine::QueryLimits;
use crate::service::{Limits, Settings};

const DEFAULTS: Limits = Limits::DEFAULT;

#[derive(Args, Clone)]
pub struct LimitOptions {
    /// Connections at once, for each listener
    #[arg(long, env = "SYSJOB_MAX_CONNECTIONS", value_name = "N", default_value_t = DEFAULTS.connections)]
    max_connections: usize,
    /// Bytes of a request's body
    #[arg(long, env = "SYSJOB_MAX_BODY_BYTES", value_name = "BYTES", default_value_t = DEFAULTS.body_bytes)]
    max_body_bytes: usize,
    /// Bytes of a request's address, its query included
    #[arg(long, env = "SYSJOB_MAX_URL_BYTES", value_name = "BYTES", default_value_t = DEFAULTS.url_bytes)]
    max_url_bytes: usize,
    /// Seconds that a client may take to send the head of a request or a piece of its body
    #[arg(long, env = "SYSJOB_HEADER_TIMEOUT", value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    header_timeout: Duration,
    /// Seconds that an HTTP connection may stay open without a request
    #[arg(long, env = "SYSJOB_IDLE_TIMEOUT", value_name = "SECONDS", default_value = "75", value_parser = seconds)]
    idle_timeout: Duration,
    /// Seconds that a query may run; 0 is no limit
    #[arg(long, env = "SYSJOB_QUERY_TIMEOUT", value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    query_timeout: Duration,
    /// Memory for what the sorts, groups and joins of all queries keep: bytes, as 512MiB, or a
    /// share of the machine's, as 50%; 0 is no limit
    #[arg(long, env = "SYSJOB_QUERY_MEMORY", value_name = "SIZE", default_value = "4GiB", value_parser = super::memory::budget)]
    query_memory: usize,
    /// Answer from the rows, even where counts are kept
    #[arg(long, env = "SYSJOB_NO_PRE_AGGREGATES")]
    no_pre_aggregates: bool,
    /// Keep the limits of Dataverse: 50,000 rows to aggregate, 6,000 requests of
    /// a user in five minutes, and so on
    #[arg(long, env = "SYSJOB_DATAVERSE_LIMITS")]
    dataverse_limits: bool,
    /// Whether a $filter beside $apply runs before it, as in Dataverse, or after
    /// it, as the OData standard has it
    #[arg(long, env = "SYSJOB_ODATA_ORDER", value_enum, default_value = "dataverse")]
    odata_order: ODataOrder,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ODataOrder {
    Standard,
    Dataverse,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|e| e.to_string())
}

impl LimitOptions {
    /// How the service is set up.
    pub fn settings(&self) -> Settings {
        Settings {
            dataverse_limits: self.dataverse_limits,
            standard_order: self.odata_order == ODataOrder::Standard,
            limits: Limits {
                connections: self.max_connections,
                body_bytes: self.max_body_bytes,
                url_bytes: self.max_url_bytes,
                header_timeout: self.header_timeout,
                idle_timeout: self.idle_timeout,
            },
            ..Settings::default()
        }
    }

    /// What a query may take.
    pub fn queries(&self) -> QueryLimits {
        QueryLimits {
            time: Some(self.query_timeout).filter(|time| !time.is_zero()),
            memory: Some(self.query_memory).filter(|bytes| *bytes > 0),
            scanning: self.no_pre_aggregates,
        }
    }
}
