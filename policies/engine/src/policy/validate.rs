//! From the raw policy to the validated one: bounds, references, contradictions.
//!
//! Every check reports and goes on, so that one run shows all mistakes of a file.

mod score;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use meridian_topology::door::{Code, Field, Mistake, Scalar, Source, Span, Spanned, suggest};
use meridian_topology::units::{Millis, Ratio};
use meridian_topology::{Label, Place, Problems, RegionId, Topology};

use super::raw::{
    RawCompliance, RawEligible, RawFailover, RawPolicy, RawProvider, RawRegions, RawSpread,
    RawWhen, RawWhenNone,
};
use super::words::FailMode;
use super::{
    Eligible, Failback, Failover, MAX_FIRST, MAX_REQUIRED_LABELS, MAX_SELECTORS, MAX_SPREAD,
    MAX_STATIC_ADDRESSES, MAX_TIERS, Policy, Selector, Spread, UnknownClient, Wall, When, WhenNone,
};
use crate::plan::MAX_ANSWERS;

/// Bounds of a selector's weight.
const WEIGHTS: RangeInclusive<f64> = 0.0..=100.0;
/// Bounds of a fixed share.
const SHARES: RangeInclusive<u16> = 1..=10_000;
/// What a region of no preferred provider costs unless the policy says otherwise.
const DEFAULT_PROVIDER_WEIGHT: f64 = 0.1;
/// Regions that share the clients when a policy asks for a spread without a number.
const DEFAULT_SPREAD: u8 = 3;
/// Bounds on the fewest living endpoints of a living region.
const MIN_LIVE: RangeInclusive<u16> = 1..=10_000;
/// How long a region stays healthy before a step of its ramp.
const DEFAULT_HOLD: Millis = Millis(30_000);

/// Checks policies against one topology.
pub(super) struct Validator<'t> {
    topology: &'t Topology,
    labels: BTreeSet<&'t str>,
    /// Labels that the policies so far require.
    required: BTreeSet<Label>,
}

impl<'t> Validator<'t> {
    pub fn new(topology: &'t Topology) -> Self {
        let of_regions = topology
            .regions
            .iter()
            .flat_map(|region| &region.compliance);
        let of_endpoints = topology
            .endpoints
            .iter()
            .flat_map(|endpoint| &endpoint.compliance);
        Self {
            topology,
            labels: of_regions.chain(of_endpoints).map(Label::as_str).collect(),
            required: BTreeSet::new(),
        }
    }

    /// The validated policy; `None` when its name cannot be read.
    pub fn policy(
        &mut self,
        raw: &RawPolicy,
        source: &Source,
        problems: &mut Problems,
    ) -> Option<Policy> {
        let mut file = File {
            validator: self,
            source,
            problems,
        };
        let id = raw.policy.check(source, file.problems).cloned();
        let selectors = raw.eligible.len() + raw.score.len();
        if selectors > MAX_SELECTORS {
            let mistake = Mistake::new(format!(
                "{selectors} selectors; a policy has at most {MAX_SELECTORS}"
            ));
            file.report(raw.policy.span, Code::OUT_OF_RANGE, mistake);
        }
        let eligible = raw
            .eligible
            .iter()
            .filter_map(|e| file.eligible(e))
            .collect();
        let score: Vec<Selector> = raw.score.iter().map(|s| file.selector(s)).collect();
        let policy = Policy {
            id: id?,
            description: file.or(raw.description.as_ref(), String::new()),
            eligible,
            score,
            tiers: file.tiers(&raw.tiers),
            spread: raw
                .spread
                .as_ref()
                .map(|s| file.spread(s))
                .unwrap_or_default(),
            failover: raw
                .failover
                .as_ref()
                .map(|f| file.failover(f))
                .unwrap_or_default(),
            when_none: file.when_none(raw.when_none.as_ref()),
        };
        Some(if policy.score.is_empty() {
            Policy {
                score: Policy::nearest(policy.id.clone()).score,
                ..policy
            }
        } else {
            policy
        })
    }
}

/// One file's validation.
struct File<'a, 't> {
    validator: &'a mut Validator<'t>,
    source: &'a Source,
    problems: &'a mut Problems,
}

impl File<'_, '_> {
    fn report(&mut self, span: Span, code: Code, mistake: Mistake) {
        self.problems.report(self.source, span, code, mistake);
    }

    /// The field's value; the default when it is missing or was reported.
    fn or<T: Scalar + Clone>(&mut self, field: Option<&Field<T>>, default: T) -> T {
        self.read(field).unwrap_or(default)
    }

    /// The field's value, if it is there and was not reported.
    fn read<T: Scalar + Clone>(&mut self, field: Option<&Field<T>>) -> Option<T> {
        field.and_then(|f| f.check(self.source, self.problems).cloned())
    }

    /// Like [`Self::or`], and reports a value outside its bounds.
    fn within<T: Scalar + Copy + PartialOrd + std::fmt::Display>(
        &mut self,
        field: Option<&Field<T>>,
        default: T,
        bounds: &RangeInclusive<T>,
    ) -> T {
        let value = self.or(field, default);
        if let Some(field) = field.filter(|_| !bounds.contains(&value)) {
            let (low, high) = (bounds.start(), bounds.end());
            let mistake = Mistake::new(format!("`{value}` is out of range: {low} to {high}"));
            self.report(field.span, Code::OUT_OF_RANGE, mistake);
            return default;
        }
        value
    }

    fn list<T: Scalar + Clone>(&mut self, fields: &[Field<T>]) -> Vec<T> {
        fields
            .iter()
            .filter_map(|f| f.check(self.source, self.problems).cloned())
            .collect()
    }

    fn when(&mut self, raw: Option<&RawWhen>, unknown: UnknownClient) -> When {
        let Some(raw) = raw else {
            return When::default();
        };
        When {
            client_in: self.client_places(&raw.client_in),
            client_not_in: self.client_places(&raw.client_not_in),
            unknown: self.or(raw.unknown.as_ref(), unknown),
        }
    }

    fn client_places(&mut self, fields: &[Field<Place>]) -> Vec<Place> {
        for field in fields {
            let Some(Place::Group(group)) = field.get() else {
                continue;
            };
            if self.validator.topology.client_group(group).is_some() {
                continue;
            }
            let groups = self
                .validator
                .topology
                .client_groups
                .iter()
                .map(|g| g.id.as_str());
            let mistake = Mistake::new(format!("there is no client group `{group}`"));
            let mistake = closest(mistake, group.as_str(), groups, "group:");
            self.report(field.span, Code::UNKNOWN_REFERENCE, mistake);
        }
        self.list(fields)
    }

    fn eligible(&mut self, raw: &Spanned<RawEligible>) -> Option<Eligible> {
        match &raw.value {
            RawEligible::Compliance(compliance) => self.compliance(compliance, raw.span),
            RawEligible::Provider(provider) => Some(self.provider(provider)),
            RawEligible::Regions(regions) => self.regions(regions, raw.span),
        }
    }

    fn compliance(&mut self, raw: &RawCompliance, span: Span) -> Option<Eligible> {
        if raw.require.is_empty() && raw.within.is_empty() {
            let mistake = Mistake::new("this compliance selector demands nothing")
                .help("name labels under `require` or places under `within`");
            self.report(span, Code::CONFLICT, mistake);
            return None;
        }
        for field in &raw.require {
            self.required_label(field);
        }
        for field in &raw.within {
            if let Some(place @ (Place::Asn(_) | Place::Group(_))) = field.get() {
                let mistake = Mistake::new(format!("a region cannot lie in `{place}`"))
                    .help("EU, EEA, a country code, continent:NAME or provider:NAME");
                self.report(field.span, Code::INVALID_VALUE, mistake);
            }
        }
        Some(Eligible {
            when: self.when(raw.when.as_ref(), UnknownClient::Apply),
            wall: Wall::Compliance {
                require: self.list(&raw.require),
                within: self.list(&raw.within),
            },
        })
    }

    /// A label that nothing has would keep everybody out: a misspelling more often than a wish.
    fn required_label(&mut self, field: &Field<Label>) {
        let Some(label) = field.get() else { return };
        if !self.validator.labels.contains(label.as_str()) {
            let mistake = Mistake::new(format!("no region or endpoint has the label `{label}`"));
            let known = self.validator.labels.iter().copied();
            let mistake = closest(mistake, label.as_str(), known, "");
            self.report(field.span, Code::UNKNOWN_REFERENCE, mistake);
            return;
        }
        self.validator.required.insert(label.clone());
        if self.validator.required.len() > MAX_REQUIRED_LABELS {
            let mistake = Mistake::new(format!(
                "all policies together require at most {MAX_REQUIRED_LABELS} different labels"
            ));
            self.report(field.span, Code::OUT_OF_RANGE, mistake);
        }
    }

    fn provider(&mut self, raw: &RawProvider) -> Eligible {
        let (prefer, forbid) = (self.list(&raw.prefer), self.list(&raw.forbid));
        for field in &raw.prefer {
            if field
                .get()
                .is_some_and(|provider| forbid.contains(provider))
            {
                let mistake = Mistake::new("this provider is both preferred and forbidden")
                    .help("take it out of one of the lists");
                self.report(field.span, Code::CONFLICT, mistake);
            }
        }
        let weight = self.within(raw.weight.as_ref(), DEFAULT_PROVIDER_WEIGHT, &WEIGHTS);
        Eligible {
            when: self.when(raw.when.as_ref(), UnknownClient::Skip),
            wall: Wall::Provider {
                prefer,
                forbid,
                weight,
            },
        }
    }

    fn regions(&mut self, raw: &RawRegions, span: Span) -> Option<Eligible> {
        if raw.first.is_empty() && raw.only.is_empty() && raw.never.is_empty() {
            let mistake = Mistake::new("this regions selector names no region")
                .help("list some under `first`, `only` or `never`");
            self.report(span, Code::CONFLICT, mistake);
            return None;
        }
        if let Some(beyond) = raw.first.get(MAX_FIRST) {
            let mistake = Mistake::new(format!("at most {MAX_FIRST} regions come first"));
            self.report(beyond.span, Code::OUT_OF_RANGE, mistake);
        }
        let (first, only) = (self.region_list(&raw.first), self.region_list(&raw.only));
        let never = self.region_list(&raw.never);
        for field in raw.first.iter().chain(&raw.only) {
            if field.get().is_some_and(|region| never.contains(region)) {
                let mistake = Mistake::new("this region is under `never`, too")
                    .help("take it out of one of the lists");
                self.report(field.span, Code::CONFLICT, mistake);
            }
        }
        for field in &raw.first {
            let outside = |region| !only.is_empty() && !only.contains(region);
            if field.get().is_some_and(outside) {
                let mistake = Mistake::new("this region is not under `only`, so it never serves")
                    .help("add it to `only`, or take it out of `first`");
                self.report(field.span, Code::CONFLICT, mistake);
            }
        }
        Some(Eligible {
            when: self.when(raw.when.as_ref(), UnknownClient::Skip),
            wall: Wall::Regions { first, only, never },
        })
    }

    /// Regions that exist, each once.
    fn region_list(&mut self, fields: &[Field<RegionId>]) -> Vec<RegionId> {
        let mut regions = Vec::new();
        for field in fields {
            let Some(region) = self.region(field) else {
                continue;
            };
            if regions.contains(&region) {
                let mistake = Mistake::new(format!("region `{region}` is listed already"));
                self.report(field.span, Code::CONFLICT, mistake);
                continue;
            }
            regions.push(region);
        }
        regions
    }

    fn tiers(&mut self, raw: &[Spanned<Vec<Field<RegionId>>>]) -> Vec<Vec<RegionId>> {
        if let Some(beyond) = raw.get(MAX_TIERS) {
            let mistake = Mistake::new(format!("a policy has at most {MAX_TIERS} tiers"));
            self.report(beyond.span, Code::OUT_OF_RANGE, mistake);
        }
        let mut seen = BTreeSet::new();
        let mut tiers = Vec::new();
        for tier in raw {
            let mut regions = Vec::new();
            for field in &tier.value {
                let Some(region) = self.region(field) else {
                    continue;
                };
                if !seen.insert(region.clone()) {
                    let mistake = Mistake::new(format!("region `{region}` is in a tier already"));
                    self.report(field.span, Code::CONFLICT, mistake);
                }
                regions.push(region);
            }
            tiers.push(regions);
        }
        tiers
    }

    fn region(&mut self, field: &Field<RegionId>) -> Option<RegionId> {
        let id = field.check(self.source, self.problems)?.clone();
        if self.validator.topology.region(&id).is_some() {
            return Some(id);
        }
        let known = self
            .validator
            .topology
            .regions
            .iter()
            .map(|region| region.id.as_str());
        let mistake = Mistake::new(format!("there is no region `{id}`"));
        let mistake = closest(mistake, id.as_str(), known, "");
        self.report(field.span, Code::UNKNOWN_REFERENCE, mistake);
        None
    }

    fn spread(&mut self, raw: &Spanned<RawSpread>) -> Spread {
        let spread = &raw.value;
        let by_score =
            spread.best_within.is_some() || spread.at_most.is_some() || spread.split.is_some();
        if by_score && !spread.weights.is_empty() {
            let mistake =
                Mistake::new("`weights` says who shares the clients, and so do the others")
                    .help("remove `weights`, or `best_within`, `at_most` and `split`");
            self.report(raw.span, Code::CONFLICT, mistake);
        }
        if spread.weights.len() > MAX_SPREAD {
            let mistake = Mistake::new(format!("at most {MAX_SPREAD} regions share the clients"));
            self.report(raw.span, Code::OUT_OF_RANGE, mistake);
        }
        let mut weights: Vec<(RegionId, u16)> = Vec::new();
        for share in &spread.weights {
            let value = self.within(Some(&share.share), 1, &SHARES);
            let Some(region) = self.region(&share.region) else {
                continue;
            };
            if weights.iter().any(|(known, _)| *known == region) {
                let mistake = Mistake::new(format!("region `{region}` has a share already"));
                self.report(share.region.span, Code::CONFLICT, mistake);
            }
            weights.push((region, value));
        }
        let answers = self.within(spread.answers.as_ref(), 1, &(1..=MAX_ANSWERS as u8));
        let least = spread.answers_at_least.as_ref();
        let answers_at_least = least.map(|field| self.within(Some(field), answers, &(1..=answers)));
        let default_most = if by_score { DEFAULT_SPREAD } else { 1 };
        Spread {
            best_within: self.or(spread.best_within.as_ref(), Millis(0)),
            at_most: self.within(
                spread.at_most.as_ref(),
                default_most,
                &(1..=MAX_SPREAD as u8),
            ),
            split: self.or(spread.split.as_ref(), Default::default()),
            weights,
            sticky: self.or(spread.sticky.as_ref(), Default::default()),
            answers,
            answers_at_least,
        }
    }

    fn failover(&mut self, raw: &RawFailover) -> Failover {
        let default = Failover::default();
        let failback = raw.failback.as_ref().map(|failback| {
            let ramp = self.list(&failback.ramp);
            let rising = ramp.windows(2).all(|pair| pair[0] < pair[1]);
            let ends_whole = ramp.last().is_none_or(|last| *last == Ratio::ONE);
            if let Some(first) = failback.ramp.first().filter(|_| !rising || !ends_whole) {
                let mistake = Mistake::new("a ramp rises from step to step and ends at 100%")
                    .help("for example `[5%, 25%, 50%, 100%]`");
                self.report(first.span, Code::OUT_OF_RANGE, mistake);
            }
            Failback {
                hold: self.or(failback.hold.as_ref(), DEFAULT_HOLD),
                ramp: if ramp.is_empty() {
                    vec![Ratio::ONE]
                } else {
                    ramp
                },
            }
        });
        let regions = 1..=crate::plan::MAX_ROUTE as u8;
        Failover {
            panic_threshold: self.or(raw.panic_threshold.as_ref(), default.panic_threshold),
            min_live: self.within(raw.min_live.as_ref(), default.min_live, &MIN_LIVE),
            min_live_regions: self.within(raw.min_live_regions.as_ref(), 1, &regions),
            failback: failback.unwrap_or(default.failback),
        }
    }

    fn when_none(&mut self, raw: Option<&RawWhenNone>) -> WhenNone {
        match raw {
            None => WhenNone::LastResort,
            Some(RawWhenNone::Fail(mode)) => match self.or(Some(mode), FailMode::Closed) {
                FailMode::Closed => WhenNone::Closed,
                FailMode::LastResort => WhenNone::LastResort,
                FailMode::IgnoreHealth => WhenNone::IgnoreHealth,
            },
            Some(RawWhenNone::Static(fixed)) => {
                if let Some(beyond) = fixed.addresses.get(MAX_STATIC_ADDRESSES) {
                    let mistake =
                        Mistake::new(format!("at most {MAX_STATIC_ADDRESSES} static addresses"));
                    self.report(beyond.span, Code::OUT_OF_RANGE, mistake);
                }
                WhenNone::Static(self.list(&fixed.addresses).into())
            }
        }
    }
}

/// Adds what was probably meant, or what there is.
fn closest<'k>(
    mistake: Mistake,
    text: &str,
    known: impl Iterator<Item = &'k str> + Clone,
    prefix: &str,
) -> Mistake {
    match suggest::closest(text, known) {
        Some(near) => mistake.help(format!("did you mean `{prefix}{near}`?")),
        None => mistake,
    }
}
