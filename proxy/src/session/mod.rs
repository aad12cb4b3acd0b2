//! stand-in
pub mod identity;
