//! Builds a [`ClassTable`] from nets, in layers.
//!
//! Within a layer a longer prefix wins; a later layer wins over an earlier one whatever the lengths,
//! because an operator's /16 must beat a registry's /24 inside it. A layer may also only *amend* the
//! classes beneath it ([`ClassPatch`]): a group that names an AS keeps the country below. Classes are
//! interned, so their number stays that of different clients, at most [`MAX_CLASSES`].

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use meridian_topology::{Coordinates, CountryCode, GroupId, ProviderId, RegionId};

use super::ranges::{Cover, MAX_RANGES, Span, flatten};
use super::{ClassId, ClassTable, ClientClass};

/// Most classes a table may have: the plan holds a route for each of them and service.
pub const MAX_CLASSES: usize = 65_535;

/// Why a class table could not be built.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ClassError {
    /// More different clients than [`MAX_CLASSES`].
    #[error("more than {MAX_CLASSES} client classes: use a coarser grid or fewer client groups")]
    TooManyClasses,
    /// More ranges than [`MAX_RANGES`].
    #[error("more than {MAX_RANGES} address ranges")]
    TooManyRanges,
    /// A range of a sorted layer begins before the one before it ended, or ends before it begins.
    #[error("the range {first}-{last} overlaps the range before it or is empty")]
    Unsorted {
        /// First address of the offending range.
        first: IpAddr,
        /// Last address of the offending range.
        last: IpAddr,
    },
}

/// What a net says about its clients over what is known already; `None` leaves things as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassPatch {
    /// Country of the clients.
    pub country: Option<CountryCode>,
    /// Where the clients are.
    pub location: Option<Coordinates>,
    /// Autonomous system of the clients.
    pub asn: Option<u32>,
    /// Cloud provider the clients run in.
    pub provider: Option<ProviderId>,
    /// Region the clients run in.
    pub region: Option<RegionId>,
    /// Operator's group of the clients.
    pub group: Option<GroupId>,
}

impl ClassPatch {
    /// The class below with everything this patch knows laid over it.
    #[must_use]
    pub fn apply(&self, below: &ClientClass) -> ClientClass {
        let mut class = match self.country {
            // Another country is another place: the old location would be a lie.
            Some(country) if below.country != Some(country) => ClientClass {
                location: None,
                ..below.clone()
            }
            .in_country(country),
            _ => below.clone(),
        };
        class.location = self.location.or(class.location);
        class.asn = self.asn.or(class.asn);
        class.provider = self.provider.clone().or(class.provider);
        class.region = self.region.clone().or(class.region);
        class.group = self.group.clone().or(class.group);
        class
    }
}

/// A list of nets that are laid over everything added before.
#[derive(Clone, Copy, Debug)]
enum Value {
    Class(ClassId),
    Patch(usize),
}

/// Collects classes and nets; see the module's comment.
#[derive(Debug)]
pub struct ClassTableBuilder {
    classes: Vec<ClientClass>,
    ids: HashMap<ClassKey, ClassId>,
    patches: Vec<ClassPatch>,
    patch_ids: HashMap<ClassKey, usize>,
    /// What each patch makes of each class, so that a file of millions of nets patches once per pair.
    patched: HashMap<(ClassId, usize), ClassId>,
    v4: Cover<u32>,
    v6: Cover<u128>,
    nets_v4: Vec<(u32, u32, u8, Value)>,
    nets_v6: Vec<(u128, u128, u8, Value)>,
}

impl Default for ClassTableBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ClassTableBuilder {
    /// A table that knows only the unknown client.
    #[must_use]
    pub fn new() -> Self {
        let unknown = ClientClass::default();
        Self {
            ids: HashMap::from([(ClassKey::of(&unknown), ClassId::UNKNOWN)]),
            classes: vec![unknown],
            patches: Vec::new(),
            patch_ids: HashMap::new(),
            patched: HashMap::new(),
            v4: Cover::unknown(),
            v6: Cover::unknown(),
            nets_v4: Vec::new(),
            nets_v6: Vec::new(),
        }
    }

    /// Goes on from a finished table: what is added wins over all that it says.
    #[must_use]
    pub fn over(table: &ClassTable) -> Self {
        let (v4, v6) = table.covers();
        let ids = table.classes().iter().enumerate().map(|(at, class)| {
            // A table has at most MAX_CLASSES.
            (ClassKey::of(class), ClassId(at as u32))
        });
        Self {
            ids: ids.collect(),
            classes: table.classes().to_vec(),
            v4: v4.clone(),
            v6: v6.clone(),
            ..Self::new()
        }
    }

    /// The id of a class, new or known.
    pub fn intern(&mut self, class: ClientClass) -> Result<ClassId, ClassError> {
        let key = ClassKey::of(&class);
        if let Some(id) = self.ids.get(&key) {
            return Ok(*id);
        }
        if self.classes.len() >= MAX_CLASSES {
            return Err(ClassError::TooManyClasses);
        }
        let id = ClassId(self.classes.len() as u32);
        self.classes.push(class);
        self.ids.insert(key, id);
        Ok(id)
    }

    /// Adds a net to the current layer.
    pub fn insert(&mut self, net: IpNet, class: ClientClass) -> Result<(), ClassError> {
        let id = self.intern(class)?;
        self.push_net(net, Value::Class(id));
        Ok(())
    }

    /// Adds a net to the current layer that amends whatever class lies below.
    pub fn amend(&mut self, net: IpNet, patch: ClassPatch) {
        let patches = &mut self.patches;
        let id = *self
            .patch_ids
            .entry(ClassKey::of_patch(&patch))
            .or_insert_with(|| {
                patches.push(patch);
                patches.len() - 1
            });
        self.push_net(net, Value::Patch(id));
    }

    /// Ends the current layer: nets added from here on win over all before.
    pub fn next_layer(&mut self) -> Result<(), ClassError> {
        let v4 = flatten(std::mem::take(&mut self.nets_v4));
        let v6 = flatten(std::mem::take(&mut self.nets_v6));
        self.lay(&v4, &v6)
    }

    /// Lays whole ranges, sorted and disjoint within each family, as a layer of their own: for
    /// sources that come as ranges already, such as a registry walk.
    pub fn layer_of_ranges(
        &mut self,
        ranges: impl IntoIterator<Item = (IpAddr, IpAddr, ClassId)>,
    ) -> Result<(), ClassError> {
        self.next_layer()?;
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (first, last, class) in ranges {
            let value = Value::Class(class);
            let sorted = match (first, last) {
                (IpAddr::V4(a), IpAddr::V4(b)) => push_sorted(
                    &mut v4,
                    Span {
                        first: a.to_bits(),
                        last: b.to_bits(),
                        value,
                    },
                ),
                (IpAddr::V6(a), IpAddr::V6(b)) => push_sorted(
                    &mut v6,
                    Span {
                        first: a.to_bits(),
                        last: b.to_bits(),
                        value,
                    },
                ),
                _ => false,
            };
            if !sorted {
                return Err(ClassError::Unsorted { first, last });
            }
        }
        self.lay(&v4, &v6)
    }

    /// The finished table.
    pub fn build(mut self) -> Result<ClassTable, ClassError> {
        self.next_layer()?;
        if self.v4.starts().len().max(self.v6.starts().len()) > MAX_RANGES {
            return Err(ClassError::TooManyRanges);
        }
        Ok(ClassTable::new(self.classes, self.v4, self.v6))
    }

    fn push_net(&mut self, net: IpNet, value: Value) {
        match net {
            IpNet::V4(net) => self.nets_v4.push((
                net.network().to_bits(),
                net.broadcast().to_bits(),
                net.prefix_len(),
                value,
            )),
            IpNet::V6(net) => self.nets_v6.push((
                net.network().to_bits(),
                net.broadcast().to_bits(),
                net.prefix_len(),
                value,
            )),
        }
    }

    fn patch(&mut self, below: ClassId, patch: usize) -> Result<ClassId, ClassError> {
        if let Some(class) = self.patched.get(&(below, patch)) {
            return Ok(*class);
        }
        let class = self.intern(self.patches[patch].apply(&self.classes[below.index()]))?;
        self.patched.insert((below, patch), class);
        Ok(class)
    }

    fn lay(&mut self, v4: &[Span<u32, Value>], v6: &[Span<u128, Value>]) -> Result<(), ClassError> {
        let mut full = Ok(());
        let (below_v4, below_v6) = (self.v4.clone(), self.v6.clone());
        let mut merge = |below: ClassId, value: Value| match value {
            Value::Class(class) => class,
            Value::Patch(patch) => self.patch(below, patch).unwrap_or_else(|error| {
                full = Err(error);
                below
            }),
        };
        let v4 = below_v4.overlay(v4, &mut merge);
        let v6 = below_v6.overlay(v6, &mut merge);
        full?;
        self.v4 = v4;
        self.v6 = v6;
        Ok(())
    }
}

/// Adds a span if it comes after all before it.
fn push_sorted<A: Copy + Ord, V>(spans: &mut Vec<Span<A, V>>, span: Span<A, V>) -> bool {
    let sorted =
        span.first <= span.last && spans.last().is_none_or(|before| before.last < span.first);
    if sorted {
        spans.push(span);
    }
    sorted
}

/// A class as something hashable: coordinates by their bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ClassKey {
    country: Option<CountryCode>,
    location: Option<(u64, u64)>,
    asn: Option<u32>,
    provider: Option<ProviderId>,
    region: Option<RegionId>,
    group: Option<GroupId>,
}

impl ClassKey {
    fn of_patch(patch: &ClassPatch) -> Self {
        Self::of(&ClientClass {
            country: patch.country,
            location: patch.location,
            asn: patch.asn,
            provider: patch.provider.clone(),
            region: patch.region.clone(),
            group: patch.group.clone(),
        })
    }

    fn of(class: &ClientClass) -> Self {
        Self {
            country: class.country,
            location: class
                .location
                .map(|at| (at.latitude().to_bits(), at.longitude().to_bits())),
            asn: class.asn,
            provider: class.provider.clone(),
            region: class.region.clone(),
            group: class.group.clone(),
        }
    }
}
