//! meridian-http.
