//! Validation of the score's selectors.

use std::ops::RangeInclusive;

use meridian_topology::RegionId;
use meridian_topology::door::{Code, Field, Mistake, Spanned};
use meridian_topology::units::{Millis, Ratio, UsdPerMillionRequests};

use super::{File, WEIGHTS};
use crate::policy::raw::{
    RawCapacity, RawCost, RawDaytime, RawGeographic, RawPerformance, RawScore,
};
use crate::policy::{
    DEFAULT_BOUND, DEFAULT_RESPONSE_BYTES, DEFAULT_SCALE_KM, DEFAULT_SCALE_MS, DEFAULT_SCALE_USD,
    Selector, SelectorKind, UnknownClient,
};

/// Bounds of a model's bound: a factor below 1 would turn it round, 10 is no bound any more.
const BOUNDS: RangeInclusive<f64> = 1.0..=10.0;
/// Utilisation up to which a region is as good as an idle one.
const DEFAULT_TARGET: f64 = 0.7;
/// Utilisation from which a region takes no more clients.
const DEFAULT_MAX: f64 = 0.9;
/// First solar hour of a day's window.
const DEFAULT_FROM_HOUR: f64 = 8.0;
/// Last solar hour of a day's window.
const DEFAULT_TO_HOUR: f64 = 20.0;

impl File<'_, '_> {
    pub(super) fn selector(&mut self, raw: &Spanned<RawScore>) -> Selector {
        let (weight, when, kind) = match &raw.value {
            RawScore::Performance(raw) => (&raw.weight, &raw.when, self.performance(raw)),
            RawScore::Geographic(raw) => (&raw.weight, &raw.when, self.geographic(raw)),
            RawScore::Cost(raw) => (&raw.weight, &raw.when, self.cost(raw)),
            RawScore::Capacity(raw) => (&raw.weight, &raw.when, self.capacity(raw)),
            RawScore::Daytime(raw) => (&raw.weight, &raw.when, self.daytime(raw)),
        };
        Selector {
            weight: self.within(Some(weight), 0.0, &WEIGHTS),
            when: self.when(when.as_ref(), UnknownClient::Skip),
            kind,
        }
    }

    fn performance(&mut self, raw: &RawPerformance) -> SelectorKind {
        SelectorKind::Performance {
            model: self.or(raw.model.as_ref(), Default::default()),
            bound: self.within(raw.bound.as_ref(), DEFAULT_BOUND, &BOUNDS),
            scale: raw
                .scale
                .as_ref()
                .and_then(|f| self.positive(f))
                .unwrap_or(DEFAULT_SCALE_MS),
            slo: raw.slo.as_ref().and_then(|f| self.positive(f)),
        }
    }

    fn geographic(&mut self, raw: &RawGeographic) -> SelectorKind {
        let scale_km = self
            .read(raw.scale.as_ref())
            .map_or(DEFAULT_SCALE_KM, |km| km.0);
        let mut bias: Vec<(RegionId, i8)> = Vec::new();
        for entry in &raw.bias {
            let value = self.read(Some(&entry.bias));
            let (Some(region), Some(value)) = (self.region(&entry.region), value) else {
                continue;
            };
            if bias.iter().any(|(known, _)| *known == region) {
                let mistake = Mistake::new(format!("region `{region}` has a bias already"));
                self.report(entry.region.span, Code::CONFLICT, mistake);
            }
            bias.push((region, value.0));
        }
        SelectorKind::Geographic { scale_km, bias }
    }

    fn cost(&mut self, raw: &RawCost) -> SelectorKind {
        let size = self.read(raw.response_size.as_ref());
        let default = UsdPerMillionRequests::new(DEFAULT_SCALE_USD)
            .expect("the constant is a positive price");
        let mut scale = self.or(raw.scale.as_ref(), default);
        if let Some(field) = raw.scale.as_ref().filter(|_| scale.get() <= 0.0) {
            let mistake = Mistake::new("a price scale of nothing would make every cost infinite");
            self.report(field.span, Code::OUT_OF_RANGE, mistake);
            scale = default;
        }
        SelectorKind::Cost {
            response_bytes: size.map_or(DEFAULT_RESPONSE_BYTES, |size| size.0),
            scale,
        }
    }

    fn capacity(&mut self, raw: &RawCapacity) -> SelectorKind {
        let target = self.or(raw.target_utilization.as_ref(), ratio(DEFAULT_TARGET));
        let max = self.or(raw.max_utilization.as_ref(), ratio(DEFAULT_MAX));
        if target >= max {
            let field = raw
                .target_utilization
                .as_ref()
                .or(raw.max_utilization.as_ref());
            let span = field.map_or(raw.weight.span, |field| field.span);
            let mistake = Mistake::new(format!(
                "the target of {target} is not below the maximum of {max}"
            ));
            self.report(span, Code::OUT_OF_RANGE, mistake);
        }
        SelectorKind::Capacity { target, max }
    }

    fn daytime(&mut self, raw: &RawDaytime) -> SelectorKind {
        SelectorKind::Daytime {
            from: self
                .read(raw.from.as_ref())
                .map_or(DEFAULT_FROM_HOUR, |time| time.0),
            to: self
                .read(raw.to.as_ref())
                .map_or(DEFAULT_TO_HOUR, |time| time.0),
        }
    }

    fn positive(&mut self, field: &Field<Millis>) -> Option<Millis> {
        let value = self.read(Some(field))?;
        if value.0 == 0 {
            let mistake = Mistake::new("this time must be longer than nothing");
            self.report(field.span, Code::OUT_OF_RANGE, mistake);
            return None;
        }
        Some(value)
    }
}

fn ratio(constant: f64) -> Ratio {
    Ratio::new(constant).expect("the constants above lie between 0 and 1")
}
