//! Counters of two labels of which most stay zero: ten thousand services times fifty regions.
//!
//! A child of a Prometheus vector costs some four hundred bytes and a line of every scrape, counted or
//! not. Here a counter is eight bytes in the row of its first label's value, and only those above zero are
//! rendered. Counting is one addition in memory; rows are looked up beforehand ([`SparseCounters::row`]).
//!
//! A row whose columns change (a region is added) begins anew, beside the one before: whoever still
//! counts there is not lost, and the rendered value is the sum of both.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::{IntCounterVec, Opts, proto::MetricFamily};

/// The counters of one value of the first label, by column. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CounterRow(Arc<[AtomicU64]>);

impl CounterRow {
    /// Counts one; a column that is not there counts nothing.
    #[inline]
    pub fn inc(&self, column: usize) {
        if let Some(count) = self.0.get(column) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// What was counted so far; 0 for a column that is not there.
    #[inline]
    #[must_use]
    pub fn get(&self, column: usize) -> u64 {
        self.0.get(column).map_or(0, |count| count.load(Relaxed))
    }
}

/// A row and what its columns are called.
struct Row {
    columns: Arc<[String]>,
    counts: CounterRow,
}

/// All rows; cheap to clone. See the module's comment.
#[derive(Clone)]
pub struct SparseCounters(Arc<Inner>);

struct Inner {
    opts: Opts,
    labels: [String; 2],
    /// Describes the family, and is never counted in.
    empty: IntCounterVec,
    rows: Mutex<BTreeMap<String, Vec<Row>>>,
}

impl std::fmt::Debug for SparseCounters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SparseCounters")
            .field("name", &self.0.opts.name)
            .finish_non_exhaustive()
    }
}

impl SparseCounters {
    pub(super) fn new(opts: Opts, labels: [&str; 2]) -> prometheus::Result<Self> {
        Ok(Self(Arc::new(Inner {
            empty: IntCounterVec::new(opts.clone(), &labels)?,
            opts,
            labels: labels.map(str::to_owned),
            rows: Mutex::default(),
        })))
    }

    /// The row of a value of the first label, with a counter for each of the second's.
    #[must_use]
    pub fn row(&self, value: &str, columns: &Arc<[String]>) -> CounterRow {
        let mut rows = self.rows();
        if let Some(row) = rows.get(value).and_then(|rows| rows.last())
            && row.columns == *columns
        {
            return row.counts.clone();
        }
        let counts = CounterRow(columns.iter().map(|_| AtomicU64::new(0)).collect());
        let known = rows.entry(value.to_owned()).or_default();
        known.push(Row {
            columns: Arc::clone(columns),
            counts: counts.clone(),
        });
        counts
    }

    // A poisoned table is still whole: rows are pushed in one step.
    fn rows(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<Row>>> {
        self.0.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for SparseCounters {
    fn desc(&self) -> Vec<&Desc> {
        self.0.empty.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let labels = self.0.labels.each_ref().map(String::as_str);
        let Ok(rendered) = IntCounterVec::new(self.0.opts.clone(), &labels) else {
            return Vec::new();
        };
        for (value, rows) in self.rows().iter() {
            for row in rows {
                for (at, column) in row.columns.iter().enumerate() {
                    let count = row.counts.get(at);
                    if count > 0 {
                        let labels = [value.as_str(), column.as_str()];
                        rendered.with_label_values(&labels).inc_by(count);
                    }
                }
            }
        }
        rendered.collect()
    }
}
