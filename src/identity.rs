//! Who a caller is where no credentials are configured: one built-in system
//! user in the root business unit of one organization. The ids are the same in
//! every process and data folder, so that scripts and stored rows can rely on them.

use crate::value::Guid;

/// The user that requests without credentials act as.
pub const SYSTEM_USER: Guid = uuid::uuid!("5e5ab5e0-0000-4000-8000-000000000001").into_bytes();

/// The root business unit.
pub const BUSINESS_UNIT: Guid = uuid::uuid!("5e5ab5e0-0000-4000-8000-000000000002").into_bytes();

/// The organization all rows belong to.
pub const ORGANIZATION: Guid = uuid::uuid!("5e5ab5e0-0000-4000-8000-000000000003").into_bytes();
