//! Many jobs of many tenants.
