//! The records of a transfer in, put together to a zone.
//!
//! ```text
//! full          SOA(new)  records…  SOA(new)
//! incremental   SOA(new) [ SOA(from) removed…  SOA(to) added… ]…  SOA(new)
//! ```
//!
//! Which one it is shows in the second record (RFC 1995 §4). An incremental transfer must start at
//! the serial we have, each step where the last one ended, and remove only what is there; anything
//! else is an error, after which the whole zone is fetched. Nothing is served before the end.

use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error;

use super::export::Kind;
use super::message::RawRecord;
use super::record::{Record, SoaTimes, WireName, comparable};
use crate::wire::{Class, RType};
use crate::zone::{DisplayName, DisplayType, StaticZone, StaticZoneBuilder, ZoneError};

/// Why records are no transfer of the zone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum AssemblyError {
    #[error("the transfer does not start with the zone's SOA")]
    NoSoa,
    #[error("a record of the transfer is not of class IN")]
    Class,
    #[error("the transfer changed from serial {expected} to {found} on its way")]
    Serial { expected: u32, found: u32 },
    #[error("the transfer removes a {rtype} record of `{name}` that we do not have")]
    Missing {
        name: DisplayName,
        rtype: DisplayType,
    },
    #[error("records follow behind the end of the transfer")]
    Trailing,
    #[error("the transfer has more than the {bytes_max} bytes allowed by `bytes_max`")]
    TooLarge { bytes_max: u64 },
    #[error(transparent)]
    Zone(#[from] ZoneError),
}

/// Where a transfer is.
#[derive(Debug)]
enum Stage {
    Start,
    /// The SOA was read.
    First,
    Full(StaticZoneBuilder),
    /// Records are being removed, on the way from one serial to another.
    Removing(Working),
    /// Records are being added; the serial is that of this step.
    Adding(Working, u32),
    DoneFull(StaticZoneBuilder),
    DoneIncremental(Working),
}

/// A transfer in.
#[derive(Debug)]
pub(crate) struct Assembly {
    origin: Arc<[u8]>,
    /// What we have, when an increment may be answered.
    current: Option<Arc<StaticZone>>,
    bytes_max: u64,
    bytes: u64,
    stage: Stage,
    /// The first record, and its serial.
    soa: Option<(Record, u32)>,
}

/// What a transfer said.
#[derive(Debug)]
pub(crate) enum Assembled {
    /// Not newer than what we have; its serial.
    NotNewer(u32),
    /// The zone.
    Zone(Kind, StaticZone),
}

impl Assembly {
    pub(crate) fn new(origin: Arc<[u8]>, current: Option<Arc<StaticZone>>, bytes_max: u64) -> Self {
        Self {
            origin,
            current,
            bytes_max,
            bytes: 0,
            stage: Stage::Start,
            soa: None,
        }
    }

    /// Takes the next record.
    pub(crate) fn push(&mut self, raw: RawRecord) -> Result<(), AssemblyError> {
        if raw.class != Class::IN {
            return Err(AssemblyError::Class);
        }
        let record = raw.record;
        self.bytes += (record.owner.len() + 10 + record.data.len()) as u64;
        if self.bytes > self.bytes_max {
            return Err(AssemblyError::TooLarge {
                bytes_max: self.bytes_max,
            });
        }
        let soa = (record.rtype == RType::SOA && *record.owner == *self.origin)
            .then(|| SoaTimes::read(&record.data))
            .flatten();
        let stage = std::mem::replace(&mut self.stage, Stage::Start);
        self.stage = self.step(stage, record, soa.map(|soa| soa.serial))?;
        Ok(())
    }

    /// One record further; `soa` is its serial if it is the zone's SOA.
    fn step(
        &mut self,
        stage: Stage,
        record: Record,
        soa: Option<u32>,
    ) -> Result<Stage, AssemblyError> {
        let target = self.soa.as_ref().map(|(_, serial)| *serial);
        match (stage, soa, target) {
            (Stage::Start, Some(serial), _) => {
                self.soa = Some((record, serial));
                Ok(Stage::First)
            }
            (Stage::Start, None, _) | (_, _, None) => Err(AssemblyError::NoSoa),
            (Stage::First, Some(serial), Some(target)) if serial != target => {
                let current = self.current.as_deref();
                let current = current.filter(|zone| zone.serial() == serial);
                let current = current.ok_or(AssemblyError::Serial {
                    expected: target,
                    found: serial,
                })?;
                Ok(Stage::Removing(Working::of(current)))
            }
            (Stage::First, Some(_), Some(_)) => Ok(Stage::DoneFull(self.builder())),
            (Stage::First, None, Some(_)) => {
                let mut builder = self.builder();
                add(&mut builder, &record);
                Ok(Stage::Full(builder))
            }
            (Stage::Full(builder), Some(serial), Some(target)) if serial == target => {
                Ok(Stage::DoneFull(builder))
            }
            (Stage::Full(_), Some(found), Some(expected)) => {
                Err(AssemblyError::Serial { expected, found })
            }
            (Stage::Full(mut builder), None, Some(_)) => {
                add(&mut builder, &record);
                Ok(Stage::Full(builder))
            }
            (Stage::Removing(mut zone), None, Some(_)) => {
                zone.remove(&record)?;
                Ok(Stage::Removing(zone))
            }
            (Stage::Removing(zone), Some(serial), Some(_)) => Ok(Stage::Adding(zone, serial)),
            (Stage::Adding(mut zone, at), None, Some(_)) => {
                zone.add(record);
                Ok(Stage::Adding(zone, at))
            }
            (Stage::Adding(zone, at), Some(serial), Some(target)) if at == serial => {
                Ok(if at == target {
                    Stage::DoneIncremental(zone)
                } else {
                    Stage::Removing(zone)
                })
            }
            (Stage::Adding(_, expected), Some(found), Some(_)) => {
                Err(AssemblyError::Serial { expected, found })
            }
            (Stage::DoneFull(_) | Stage::DoneIncremental(_), _, _) => Err(AssemblyError::Trailing),
        }
    }

    fn builder(&self) -> StaticZoneBuilder {
        let mut builder = StaticZoneBuilder::new(&self.origin);
        if let Some((soa, _)) = &self.soa {
            add(&mut builder, soa);
        }
        builder
    }

    /// Whether the last record was the last of the transfer, and whether what was read so far is the
    /// one SOA that says "you are up to date".
    pub(crate) fn is_complete(&self) -> bool {
        match (&self.stage, &self.soa, &self.current) {
            (Stage::DoneFull(_) | Stage::DoneIncremental(_), _, _) => true,
            (Stage::First, Some((_, serial)), Some(current)) => {
                !super::record::is_newer(*serial, current.serial())
            }
            _ => false,
        }
    }

    /// Builds the zone. Takes its time: call it off the threads that serve.
    pub(crate) fn finish(self) -> Result<Assembled, AssemblyError> {
        let (soa, serial) = self.soa.ok_or(AssemblyError::NoSoa)?;
        let (kind, builder) = match self.stage {
            Stage::DoneFull(builder) => (Kind::Full, builder),
            Stage::DoneIncremental(zone) => {
                let mut builder = StaticZoneBuilder::new(&self.origin);
                add(&mut builder, &soa);
                for ((owner, rtype, _), (ttl, data)) in &zone.0 {
                    builder.record(owner, *rtype, *ttl, data);
                }
                (Kind::Incremental, builder)
            }
            _ => return Ok(Assembled::NotNewer(serial)),
        };
        Ok(Assembled::Zone(kind, builder.build()?))
    }
}

fn add(builder: &mut StaticZoneBuilder, record: &Record) {
    builder.record(&record.owner, record.rtype, record.ttl, &record.data);
}

/// A zone while its increments are worked in: TTL and data by what makes a record itself. Without
/// the SOA, which the transfer brings.
#[derive(Debug)]
struct Working(HashMap<Identity, (u32, Box<[u8]>)>);

/// Owner, type and comparable data.
type Identity = (WireName, RType, Box<[u8]>);

impl Working {
    fn of(zone: &StaticZone) -> Self {
        let records = zone.records().filter(|record| record.rtype != RType::SOA);
        Self(
            records
                .map(|record| {
                    let key = comparable(record.rtype, record.data);
                    (
                        (record.owner.into(), record.rtype, key),
                        (record.ttl_seconds, record.data.into()),
                    )
                })
                .collect(),
        )
    }

    fn remove(&mut self, record: &Record) -> Result<(), AssemblyError> {
        let key = comparable(record.rtype, &record.data);
        let key = (record.owner.clone(), record.rtype, key);
        match self.0.remove(&key) {
            Some(_) => Ok(()),
            None => Err(AssemblyError::Missing {
                name: DisplayName(record.owner.clone()),
                rtype: DisplayType(record.rtype),
            }),
        }
    }

    fn add(&mut self, record: Record) {
        let key = comparable(record.rtype, &record.data);
        self.0
            .insert((record.owner, record.rtype, key), (record.ttl, record.data));
    }
}

#[cfg(test)]
mod tests;
