//! The commands, one module each.

pub mod apply;
pub mod check;
pub mod completions;
pub mod dns;
pub mod dns_serve;
pub mod drain;
pub mod explain;
pub mod geo;
pub mod get;
mod get_dns;
pub mod import;
pub mod init;
pub mod man;
pub mod models;
mod offline;
mod zones;
