//! DNS questions → plan → answers.

pub mod wire;
pub mod zone;
