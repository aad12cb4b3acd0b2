//! The versions of the contract that this gateway speaks, side by side.
//!
//! A module tells its version by the names of its exports (`sluicegate:plugin/handler@2.0.0#start`); it imports from
//! the host of the same version. What differs between versions is asked of `Abi` and nowhere else compared.
//! `patterns-wasm/sdk/wit/plugin.wit` has the layouts.

/// A version of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// 1.0.0
    V1,
    /// 2.0.0: a start header that tells its own length, the number of shards and the call's time; timers of a kind of
    /// their own.
    V2,
}

/// All versions, the newest first: a module that has several is run by the newest.
pub const SPOKEN: [Abi; 2] = [Abi::V2, Abi::V1];

/// Before the version, in the names of a plugin's exports.
pub(super) const HANDLER_OF_ANY: &str = "sluicegate:plugin/handler@";
/// Before the version, in the module name of its imports.
pub(super) const HOST_OF_ANY: &str = "sluicegate:plugin/host@";

impl Abi {
    /// The version as it stands in names and in the manifest.
    pub fn version(self) -> &'static str {
        match self {
            Self::V1 => "1.0.0",
            Self::V2 => "2.0.0",
        }
    }

    /// Prefix of the exported functions.
    pub(super) fn handler(self) -> &'static str {
        match self {
            Self::V1 => "sluicegate:plugin/handler@1.0.0#",
            Self::V2 => "sluicegate:plugin/handler@2.0.0#",
        }
    }

    /// Module name of the imports.
    pub(super) fn host(self) -> &'static str {
        match self {
            Self::V1 => "sluicegate:plugin/host@1.0.0",
            Self::V2 => "sluicegate:plugin/host@2.0.0",
        }
    }

    /// The version of a module with exports of these names; if none is spoken here, the version that it names, if any.
    pub(super) fn of<'a>(exports: impl Iterator<Item = &'a str>) -> Result<Self, Option<String>> {
        let named = exports.filter_map(|name| name.strip_prefix(HANDLER_OF_ANY)?.split_once('#'));
        let versions: Vec<&str> = named.map(|(version, _)| version).collect();
        let found = SPOKEN.into_iter().find(|abi| versions.contains(&abi.version()));
        found.ok_or_else(|| versions.first().map(|version| (*version).to_owned()))
    }
}

/// The versions that are spoken, for messages: `2.0.0 and 1.0.0`.
pub fn spoken() -> String {
    SPOKEN.map(Abi::version).join(" and ")
}

#[cfg(test)]
mod tests {
    use super::{Abi, SPOKEN};

    #[test]
    fn names_carry_the_version_and_the_newest_is_taken() {
        for abi in SPOKEN {
            assert!(abi.handler().contains(&format!("@{}#", abi.version())));
            assert!(abi.host().ends_with(&format!("@{}", abi.version())));
        }
        let [one, two, nine] =
            ["1.0.0", "2.0.0", "9.0.0"].map(|v| format!("sluicegate:plugin/handler@{v}#start"));
        let of = |exports: &[&str]| Abi::of(exports.iter().copied());
        assert_eq!(of(&["memory", &one]), Ok(Abi::V1));
        assert_eq!(of(&[&one, &two, &nine]), Ok(Abi::V2));
        assert_eq!(of(&[&nine]), Err(Some("9.0.0".to_owned())));
        assert_eq!(of(&["memory"]), Err(None));
        assert_eq!(of(&["sluicegate:plugin/handler@2.0.0"]), Err(None));
    }
}
