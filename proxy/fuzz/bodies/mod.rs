//! What must hold for every input: one body for each fuzz target.
//!
//! Comes in: bytes, whatever they are. Goes out: nothing, or a panic with a text that names what does not hold. The
//! targets of cargo-fuzz (../targets) and the library's test of the corpora (`plugin::corpus_tests`) run the same
//! bodies. Each has readers and writers of its own, written after the contract and after Redis, not after our parsers.

pub(crate) mod frame;
pub(crate) mod reply;
pub(crate) mod request;

/// Takes a byte `n` and `n % 8` places (two bytes each) from the front of an input, so that the fuzzer chooses them.
/// They come back in order, none behind the end of the rest.
fn places(input: &[u8]) -> (Vec<usize>, &[u8]) {
    let Some((count, mut rest)) = input.split_first() else {
        return (Vec::new(), input);
    };
    let mut places = Vec::new();
    for _ in 0..count % 8 {
        let Some((place, behind)) = rest.split_first_chunk::<2>() else {
            break;
        };
        places.push(usize::from(u16::from_le_bytes(*place)));
        rest = behind;
    }
    for place in &mut places {
        *place %= rest.len() + 1;
    }
    places.sort_unstable();
    (places, rest)
}
