//! [`words!`]: enums whose variants are words of configuration.

/// Implements [`Scalar`](crate::door::Scalar) and a closed list of words for an enum without
/// data: `words! { Name, "what" { A = "a", B = "b" }, default A }`. The doc comment of each variant becomes the
/// description in the schema.
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal {
        $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+
    }$(, default $default:ident)?) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            $($(#[doc = $doc])+ #[serde(rename = $word)] $variant,)+
        }

        $(impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        })?

        impl $name {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that YAML writes.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl $crate::door::Scalar for $name {
            fn read(text: &str) -> Result<Self, $crate::door::Mistake> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::door::Mistake::unknown_word($what, text, &[$($word),+])),
                }
            }

            fn schema() -> $crate::schemars::Schema {
                $crate::schemars::json_schema!({
                    "type": "string",
                    "oneOf": [$({
                        "const": $word,
                        "description": concat!($($doc),+).trim()
                    }),+]
                })
            }
        }
    };
}
