//! What is to be done next: the advice that every command and `list` end with.

use serde::Serialize;

use super::{KeyFacts, KeyState, Timing, ZoneFacts};

/// What is to be done next, and from when on it is safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NextStep {
    /// In words, with the command where there is one.
    pub what: String,
    /// Seconds since 1970; absent when it is safe now or nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safe_at: Option<u64>,
}

impl ZoneFacts {
    /// What is to be done next.
    #[must_use]
    pub fn next_step(&self, timing: Timing) -> NextStep {
        let zone = &self.zone;
        let step = |what: String, safe_at| NextStep { what, safe_at };
        if self.unsigned {
            return step("nothing: the zone is served unsigned".into(), None);
        }
        if let Some(unsigning) = self.unsigning {
            return match unsigning.ds_gone_at {
                None => step(
                    format!(
                        "have the parent remove its DS (CDS and CDNSKEY ask for it); when no server of the parent has one: meridian dns keys unsign {zone} --ds-gone"
                    ),
                    None,
                ),
                Some(gone) => step(
                    format!("meridian dns keys unsign {zone} --finish"),
                    Some(gone + timing.ds_ttl),
                ),
            };
        }
        let in_state = |state| self.keys.iter().find(move |key| key.state == state);
        if let Some(key) = in_state(KeyState::Published) {
            let (tag, at) = (key.tag, timing.activate_at(key));
            let ds = if key.role.is_entry() && key.ds_seen_at.is_none() {
                format!(
                    "hand the DS of key {tag} to the parent beside the old one (meridian dns keys show-ds {zone}), and "
                )
            } else {
                String::new()
            };
            return step(
                format!("{ds}meridian dns keys activate {zone} {tag}"),
                Some(at),
            );
        }
        if let Some(key) = in_state(KeyState::Retired) {
            return self.after_retirement(key, timing);
        }
        match self.entries().find(|key| key.ds_seen_at.is_none()) {
            Some(key) => step(
                format!(
                    "hand the DS of key {tag} to the parent (meridian dns keys show-ds {zone}); when every server of the parent has it: meridian dns keys ds-seen {zone} {tag}",
                    tag = key.tag
                ),
                Some(key.cds_from),
            ),
            None => step("nothing".into(), None),
        }
    }

    fn after_retirement(&self, key: &KeyFacts, timing: Timing) -> NextStep {
        let (zone, tag) = (&self.zone, key.tag);
        let remove = format!("meridian dns keys remove {zone} {tag}");
        let mut safe_at = timing.remove_at(key);
        if key.role.is_entry()
            && let Some(successor) = self.successor(key)
        {
            match successor.ds_seen_at {
                Some(seen) => safe_at = safe_at.max(seen + timing.ds_ttl),
                None => {
                    let new = successor.tag;
                    return NextStep {
                        what: format!(
                            "when every server of the parent has the DS of key {new}: meridian dns keys ds-seen {zone} {new}; then have it remove the DS of key {tag}"
                        ),
                        safe_at: None,
                    };
                }
            }
        }
        NextStep {
            what: remove,
            safe_at: Some(safe_at),
        }
    }
}
