//! meridian-admin.
