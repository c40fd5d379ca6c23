//! Entry bundles (c2sp.org/tlog-tiles, Log entries).

use super::TILE_WIDTH;

/// Why an entry bundle is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// An entry has more than 65535 bytes.
    #[error("an entry has more than 65535 bytes")]
    TooLong,
    /// There are more than 256 entries.
    #[error("a bundle has more than 256 entries")]
    TooMany,
    /// The bundle ends within an entry.
    #[error("the bundle ends within an entry")]
    Cut,
}

/// The entries as one bundle: each after its length, a big-endian u16. An entry of length zero stands for one
/// whose content was pruned.
///
/// # Errors
/// [`BundleError::TooLong`] and [`BundleError::TooMany`].
pub fn encode_bundle<'a>(entries: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, BundleError> {
    let mut bundle = Vec::new();
    for (at, entry) in entries.enumerate() {
        if at >= TILE_WIDTH {
            return Err(BundleError::TooMany);
        }
        push_entry(&mut bundle, entry)?;
    }
    Ok(bundle)
}

/// Adds an entry to a bundle; the caller counts them.
///
/// # Errors
/// [`BundleError::TooLong`]; an empty one is then in its place.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), BundleError> {
    let (length, entry, fits) = match u16::try_from(entry.len()) {
        Ok(length) => (length, entry, Ok(())),
        Err(_) => (0, &[][..], Err(BundleError::TooLong)),
    };
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    fits
}

/// The entries of a bundle, in their order.
///
/// # Errors
/// [`BundleError::Cut`] and [`BundleError::TooMany`].
pub fn split_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    for entry in bundle_entries(bundle) {
        let entry = entry?;
        if entries.len() >= TILE_WIDTH {
            return Err(BundleError::TooMany);
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// The same one by one, however many there are; nothing comes after an error.
pub fn bundle_entries(bundle: &[u8]) -> impl Iterator<Item = Result<&[u8], BundleError>> {
    let mut rest = bundle;
    std::iter::from_fn(move || {
        let from = std::mem::take(&mut rest);
        if from.is_empty() {
            return None;
        }
        let split = from
            .split_first_chunk::<2>()
            .and_then(|(length, after)| after.split_at_checked(usize::from(u16::from_be_bytes(*length))));
        Some(split.ok_or(BundleError::Cut).map(|(entry, after)| {
            rest = after;
            entry
        }))
    })
}
