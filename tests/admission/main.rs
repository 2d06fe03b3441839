//! What the API server makes of a `SesMailFrom`, asked of a real one: what it
//! refuses and how it says so, what it accepts and fills in, what it shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bench;
mod fields;
mod names;
mod policies;
mod regions;
mod shown;
