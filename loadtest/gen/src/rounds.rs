//! How often and how long to measure, and whom, in turns.

use std::time::Duration;

use crate::{
    GenError,
    report::{OURS, Samples},
};

/// The effort of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Under a minute.
    Quick,
    /// For figures that are kept.
    Full,
}

impl Effort {
    /// How often every subject is measured.
    #[must_use]
    pub const fn rounds(self) -> usize {
        match self {
            Self::Quick => 3,
            Self::Full => 7,
        }
    }

    /// How long one measurement takes.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Quick => 2,
            Self::Full => 5,
        }
    }

    /// The same as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.seconds())
    }
}

/// Measures every subject once a round, in an order that turns by one each round, so that nobody
/// always comes first.
///
/// # Errors
/// The first measurement that fails ends the run.
pub fn interleave<S>(
    effort: Effort,
    subjects: &mut [S],
    measure: impl FnMut(&mut S, &mut Samples) -> Result<(), GenError>,
) -> Result<Samples, GenError> {
    turns(effort.rounds(), subjects, measure)
}

/// The same in so many rounds.
///
/// # Errors
/// The first measurement that fails ends the run.
pub fn turns<S>(
    rounds: usize,
    subjects: &mut [S],
    mut measure: impl FnMut(&mut S, &mut Samples) -> Result<(), GenError>,
) -> Result<Samples, GenError> {
    let mut samples = Samples::default();
    for round in 0..rounds {
        for turn in 0..subjects.len() {
            let at = (round + turn) % subjects.len();
            measure(&mut subjects[at], &mut samples)?;
        }
    }
    Ok(samples)
}

/// Ourselves, then the wanted peers; all known ones when none are named.
///
/// # Errors
/// When a name is not known.
pub fn subjects(known: &[&str], wanted: Option<&[String]>) -> Result<Vec<String>, GenError> {
    let wanted: Vec<String> = match wanted {
        None => known.iter().map(|&peer| peer.to_owned()).collect(),
        Some(names) => names.to_vec(),
    };
    if let Some(name) = wanted.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(GenError::Unknown {
            what: "peer",
            name: name.clone(),
            known: known.join(", "),
        });
    }
    Ok(std::iter::once(OURS.to_owned()).chain(wanted).collect())
}

#[cfg(test)]
mod tests;
