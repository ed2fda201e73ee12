//! The columns of a decision file, and the way back.
//!
//! | column | Arrow type | |
//! |---|---|---|
//! | `at` | timestamp µs, UTC | |
//! | `decision_id` | uint64 | |
//! | `surface`, `service` | dictionary int32 → utf8 | |
//! | `class` | uint32 | |
//! | `plan_generation` | uint64 | |
//! | `endpoint`, `region` | dictionary int32 → utf8 | null: the policy left nobody |
//! | `propensity`, `sample_rate` | float32 | |
//! | `latency_us` | uint32 | null: nobody saw it |
//! | `status` | uint16 | null: there is none |
//!
//! The schema's metadata holds `meridian.decisions` = [`FORMAT_VERSION`]. A file is one record
//! batch, because a dictionary may not change within an Arrow file.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{
    Float32Builder, StringDictionaryBuilder, TimestampMicrosecondBuilder, UInt16Builder,
    UInt32Builder, UInt64Builder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Int32Type, TimestampMicrosecondType, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, DictionaryArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_ipc::reader::FileReader;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use super::{Decision, DecisionId, SampleRate, Surface};

/// Value of `meridian.decisions` in the schema's metadata; raised when a column changes meaning.
pub const FORMAT_VERSION: &str = "1";

const FORMAT_KEY: &str = "meridian.decisions";
const UTC: &str = "UTC";

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let id = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields = vec![
        Field::new(
            "at",
            DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            false,
        ),
        Field::new("decision_id", DataType::UInt64, false),
        Field::new("surface", id(), false),
        Field::new("service", id(), false),
        Field::new("class", DataType::UInt32, false),
        Field::new("plan_generation", DataType::UInt64, false),
        Field::new("endpoint", id(), true),
        Field::new("region", id(), true),
        Field::new("propensity", DataType::Float32, false),
        Field::new("latency_us", DataType::UInt32, true),
        Field::new("status", DataType::UInt16, true),
        Field::new("sample_rate", DataType::Float32, false),
    ];
    let metadata = HashMap::from([(FORMAT_KEY.to_owned(), FORMAT_VERSION.to_owned())]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
});

/// The schema of every decision file.
pub(super) fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

type IdBuilder = StringDictionaryBuilder<Int32Type>;

/// Rows of the file under construction, column by column.
#[derive(Default)]
pub(super) struct Columns {
    rows: usize,
    first_at_unix_us: u64,
    at: TimestampMicrosecondBuilder,
    decision_id: UInt64Builder,
    surface: IdBuilder,
    service: IdBuilder,
    class: UInt32Builder,
    plan_generation: UInt64Builder,
    endpoint: IdBuilder,
    region: IdBuilder,
    propensity: Float32Builder,
    latency_us: UInt32Builder,
    status: UInt16Builder,
    sample_rate: Float32Builder,
}

impl Columns {
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// Time of the first row; 0 without rows.
    pub(super) const fn first_at_unix_us(&self) -> u64 {
        self.first_at_unix_us
    }

    pub(super) fn append(&mut self, decision: &Decision) {
        if self.rows == 0 {
            self.first_at_unix_us = decision.at_unix_us;
        }
        self.rows += 1;
        self.at
            .append_value(i64::try_from(decision.at_unix_us).unwrap_or(i64::MAX));
        self.decision_id.append_value(decision.decision_id.0);
        self.surface.append_value(decision.surface.as_str());
        self.service.append_value(&decision.service);
        self.class.append_value(decision.class);
        self.plan_generation.append_value(decision.plan_generation);
        self.endpoint.append_option(decision.endpoint.as_ref());
        self.region.append_option(decision.region.as_ref());
        self.propensity.append_value(decision.propensity);
        self.latency_us.append_option(decision.latency_us);
        self.status.append_option(decision.status);
        self.sample_rate.append_value(decision.sample_rate.get());
    }

    /// The rows as a batch; the columns are empty afterwards, dictionaries included.
    pub(super) fn take_batch(&mut self) -> Result<RecordBatch, ArrowError> {
        let mut columns = std::mem::take(self);
        RecordBatch::try_new(
            schema(),
            vec![
                Arc::new(columns.at.finish().with_timezone(UTC)),
                Arc::new(columns.decision_id.finish()),
                Arc::new(columns.surface.finish()),
                Arc::new(columns.service.finish()),
                Arc::new(columns.class.finish()),
                Arc::new(columns.plan_generation.finish()),
                Arc::new(columns.endpoint.finish()),
                Arc::new(columns.region.finish()),
                Arc::new(columns.propensity.finish()),
                Arc::new(columns.latency_us.finish()),
                Arc::new(columns.status.finish()),
                Arc::new(columns.sample_rate.finish()),
            ],
        )
    }
}

/// Why a file is not a decision file.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened.
    #[error("cannot open the decision file")]
    Io(#[from] std::io::Error),
    /// It is not an Arrow IPC file, or a broken one.
    #[error("not a readable Arrow file")]
    Arrow(#[from] ArrowError),
    /// Its buffers contradict each other.
    #[error("the Arrow file is damaged")]
    Damaged,
    /// It is an Arrow file of another schema or version.
    #[error("not a decision file of format {FORMAT_VERSION}: {0}")]
    Schema(String),
    /// A cell holds what a decision cannot.
    #[error("row {row}: column `{column}` holds {value}")]
    Value {
        /// Row within its batch.
        row: usize,
        /// Column.
        column: &'static str,
        /// The cell.
        value: String,
    },
}

/// Reads every decision of one file. There is no checksum: a flipped bit in a number goes unseen.
///
/// # Errors
/// [`ReadError`]: a file of another schema is refused as a whole.
pub fn read_decisions(path: impl AsRef<Path>) -> Result<Vec<Decision>, ReadError> {
    let file = File::open(path)?;
    // The Arrow reader checks most of a file and panics at inconsistent buffer offsets. A damaged
    // training file must not end the process; nothing of the reader survives the panic.
    std::panic::catch_unwind(|| read_file(file)).unwrap_or(Err(ReadError::Damaged))
}

fn read_file(file: File) -> Result<Vec<Decision>, ReadError> {
    let reader = FileReader::try_new(BufReader::new(file), None)?;
    check_schema(&reader.schema())?;
    let mut decisions = Vec::new();
    for batch in reader {
        let batch = batch?;
        let rows = Rows::of(&batch)?;
        decisions.reserve(batch.num_rows());
        for row in 0..batch.num_rows() {
            decisions.push(rows.decision(row)?);
        }
    }
    Ok(decisions)
}

fn check_schema(found: &Schema) -> Result<(), ReadError> {
    let version = found.metadata().get(FORMAT_KEY);
    if version.map(String::as_str) != Some(FORMAT_VERSION) {
        return Err(ReadError::Schema(format!("`{FORMAT_KEY}` is {version:?}")));
    }
    for wanted in schema().fields() {
        let field = found
            .field_with_name(wanted.name())
            .map_err(|_| missing(wanted.name()))?;
        if field.data_type() != wanted.data_type() {
            let message = format!("column `{}` is {}", wanted.name(), field.data_type());
            return Err(ReadError::Schema(message));
        }
    }
    Ok(())
}

fn missing(column: &str) -> ReadError {
    ReadError::Schema(format!("column `{column}` is missing"))
}

/// A dictionary column of ids.
struct Ids<'a> {
    column: &'static str,
    keys: &'a PrimitiveArray<Int32Type>,
    values: &'a StringArray,
}

impl<'a> Ids<'a> {
    fn of(batch: &'a RecordBatch, column: &'static str) -> Result<Self, ReadError> {
        let array = batch
            .column_by_name(column)
            .ok_or_else(|| missing(column))?;
        let array: &DictionaryArray<Int32Type> =
            array.as_dictionary_opt().ok_or_else(|| missing(column))?;
        let values = array
            .values()
            .as_string_opt()
            .ok_or_else(|| missing(column))?;
        Ok(Self {
            column,
            keys: array.keys(),
            values,
        })
    }

    fn get<T: FromStr>(&self, row: usize) -> Result<Option<T>, ReadError> {
        if self.keys.is_null(row) {
            return Ok(None);
        }
        let key = usize::try_from(self.keys.value(row))
            .ok()
            .filter(|key| *key < self.values.len());
        let text = key
            .map(|key| self.values.value(key))
            .ok_or_else(|| self.bad(row, "no entry"))?;
        text.parse().map(Some).map_err(|_| self.bad(row, text))
    }

    fn required<T: FromStr>(&self, row: usize) -> Result<T, ReadError> {
        self.get(row)?.ok_or_else(|| self.bad(row, "null"))
    }

    fn bad(&self, row: usize, value: &str) -> ReadError {
        ReadError::Value {
            row,
            column: self.column,
            value: value.into(),
        }
    }
}

/// The typed columns of one batch.
struct Rows<'a> {
    at: &'a PrimitiveArray<TimestampMicrosecondType>,
    decision_id: &'a PrimitiveArray<UInt64Type>,
    surface: Ids<'a>,
    service: Ids<'a>,
    class: &'a PrimitiveArray<UInt32Type>,
    plan_generation: &'a PrimitiveArray<UInt64Type>,
    endpoint: Ids<'a>,
    region: Ids<'a>,
    propensity: &'a PrimitiveArray<Float32Type>,
    latency_us: &'a PrimitiveArray<UInt32Type>,
    status: &'a PrimitiveArray<UInt16Type>,
    sample_rate: &'a PrimitiveArray<Float32Type>,
}

impl<'a> Rows<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, ReadError> {
        fn numbers<'a, T: ArrowPrimitiveType>(
            batch: &'a RecordBatch,
            column: &'static str,
        ) -> Result<&'a PrimitiveArray<T>, ReadError> {
            let array = batch
                .column_by_name(column)
                .and_then(|array| array.as_primitive_opt());
            array.ok_or_else(|| missing(column))
        }
        Ok(Self {
            at: numbers(batch, "at")?,
            decision_id: numbers(batch, "decision_id")?,
            surface: Ids::of(batch, "surface")?,
            service: Ids::of(batch, "service")?,
            class: numbers(batch, "class")?,
            plan_generation: numbers(batch, "plan_generation")?,
            endpoint: Ids::of(batch, "endpoint")?,
            region: Ids::of(batch, "region")?,
            propensity: numbers(batch, "propensity")?,
            latency_us: numbers(batch, "latency_us")?,
            status: numbers(batch, "status")?,
            sample_rate: numbers(batch, "sample_rate")?,
        })
    }

    fn decision(&self, row: usize) -> Result<Decision, ReadError> {
        let at = self.at.value(row);
        let rate = self.sample_rate.value(row);
        let bad = |column, value: String| ReadError::Value { row, column, value };
        Ok(Decision {
            at_unix_us: u64::try_from(at).map_err(|_| bad("at", at.to_string()))?,
            decision_id: DecisionId(self.decision_id.value(row)),
            surface: self.surface.required::<Surface>(row)?,
            service: self.service.required(row)?,
            class: self.class.value(row),
            plan_generation: self.plan_generation.value(row),
            endpoint: self.endpoint.get(row)?,
            region: self.region.get(row)?,
            propensity: self.propensity.value(row),
            latency_us: self
                .latency_us
                .is_valid(row)
                .then(|| self.latency_us.value(row)),
            status: self.status.is_valid(row).then(|| self.status.value(row)),
            sample_rate: SampleRate::new(rate)
                .ok_or_else(|| bad("sample_rate", rate.to_string()))?,
        })
    }
}
