//! Who a caller is where no credentials are configured: one built-in system
//! user in the root business unit of one organization. The ids are the same in
//! every process and data folder, so that scripts and stored rows can rely on them.

use crate::value::Guid;

/// Who makes a request, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// A row of `systemuser`.
    pub user: Guid,
    pub business_unit: Guid,
    pub role: Role,
}

impl Default for Caller {
    /// The caller where no credentials are configured.
    fn default() -> Self {
        Self { user: SYSTEM_USER, business_unit: BUSINESS_UNIT, role: Role::Administrator }
    }
}

/// What a caller may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Read everything.
    Reader,
    /// Act on jobs, and submit them.
    Operator,
    /// Change other rows, delete in bulk, make platform jobs.
    Administrator,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }
}

/// The user that requests without credentials act as.
pub const SYSTEM_USER: Guid = uuid::uuid!("5e5ab5e0-0000-4000-8000-000000000001").into_bytes();

/// The root business unit.
pub const BUSINESS_UNIT: Guid = uuid::uuid!("5e5ab5e0-0000-4000-8000-000000000002").into_bytes();

/// The organization all rows belong to.
pub const ORGANIZATION: Guid = uuid::uuid!("5e5ab5e0-0000-4000-8000-000000000003").into_bytes();
