//! Text files of prefixes: read whole, of bounded size, with errors that name file and line.

use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};
use ipnet::IpNet;

use crate::GeoError;

/// The largest list that is read. Every prefix of the routing table with a place is a tenth of it.
pub const MAX_LIST_BYTES: u64 = 256 << 20;
/// Most prefixes of one list.
pub const MAX_LIST_PREFIXES: usize = 4_000_000;

/// A list as it was read.
pub(crate) struct List {
    path: PathBuf,
    text: String,
}

impl List {
    pub fn read(path: &Path) -> Result<Self, GeoError> {
        let bytes = crate::read_bounded(path, MAX_LIST_BYTES)?;
        let path = path.to_owned();
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { path, text }),
            Err(error) => Err(GeoError::List {
                path,
                problem: format!("not UTF-8 text: {}", error.utf8_error()),
            }),
        }
    }

    /// Whether the list is JSON; otherwise it is lines of values.
    pub fn is_json(&self) -> bool {
        self.text.trim_start().starts_with(['{', '['])
    }

    pub fn json<'l, T: serde::Deserialize<'l>>(&'l self) -> Result<T, GeoError> {
        serde_json::from_str(&self.text).map_err(|error| self.problem(&error))
    }

    /// What is wrong, with the file's name.
    pub fn problem(&self, problem: &(impl ToString + ?Sized)) -> GeoError {
        GeoError::List {
            path: self.path.clone(),
            problem: problem.to_string(),
        }
    }

    /// Visits every line but empty ones, comments (`#`) and a heading; `visit` says what is wrong.
    pub fn each_line(
        &self,
        mut visit: impl FnMut(IpNet, &StringRecord) -> Result<(), String>,
    ) -> Result<(), GeoError> {
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(Trim::All)
            .from_reader(self.text.as_bytes());
        let mut record = StringRecord::new();
        let mut first = true;
        while reader
            .read_record(&mut record)
            .map_err(|e| self.problem(&e))?
        {
            let heading = std::mem::take(&mut first)
                && record
                    .get(0)
                    .is_some_and(|cell| ["cidr", "prefix", "network"].contains(&cell));
            if heading {
                continue;
            }
            let line = record.position().map_or(0, csv::Position::line);
            let problem = |problem: String| self.problem(&format!("line {line}: {problem}"));
            let net = net(record.get(0).unwrap_or_default()).map_err(problem)?;
            visit(net, &record).map_err(problem)?;
        }
        Ok(())
    }

    /// Refuses a list of more prefixes than are read.
    pub fn check_len(&self, len: usize) -> Result<(), GeoError> {
        if len > MAX_LIST_PREFIXES {
            return Err(self.problem(&format!("more than {MAX_LIST_PREFIXES} prefixes")));
        }
        Ok(())
    }
}

/// A prefix; a lone address is the prefix of its whole length.
pub(crate) fn net(text: &str) -> Result<IpNet, String> {
    let net = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    net.map(|net| net.trunc())
        .map_err(|_| format!("`{text}` is no prefix such as 192.0.2.0/24 or 2001:db8::/32"))
}
