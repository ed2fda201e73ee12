//! What happened, for logs, the event stream and tests: one list, newest last.

use serde::Serialize;

/// Something an operator wants to see. Serialised as `{"kind": "...", ...}` on the event stream.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A new plan is in force.
    PlanPublished {
        /// Publication number of this process.
        sequence: u64,
        /// The plan's generation.
        generation: u64,
        /// Why it was compiled.
        why: String,
        /// Milliseconds the compile took.
        compile_ms: f64,
    },
    /// New sources were refused; the last good plan keeps serving.
    SourcesRejected {
        /// Where they came from: `directory` or `store`.
        origin: &'static str,
        /// Every problem, with file, line, field and fix.
        problems: String,
    },
    /// An endpoint changed its effective state.
    EndpointFlipped {
        /// The endpoint.
        endpoint: String,
        /// Its region.
        region: String,
        /// True when it serves again.
        serves: bool,
        /// Why.
        cause: String,
    },
    /// The set of drains changed.
    DrainsChanged {
        /// Every drain in force: `region ID` or `endpoint ID`.
        active: Vec<String>,
    },
    /// Another model scores regions now.
    ModelChanged {
        /// Name and version; `none` without a model.
        version: String,
    },
}
