//! meridian-score.
