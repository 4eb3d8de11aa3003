//! State that all replicas share, as pieces of bytes in objects of the host: their names, and how a piece
//! that is too big for one object is split and put together again.
//!
//! A piece has a *head* object with its length, its digest and, if it is small, its bytes. A bigger one
//! has its bytes in *part* objects whose names contain the digest: a new version never touches the parts
//! of the one before.
//!
//! What must stay true: a reader sees a whole version or none. Parts are there before the head that names
//! them, and go after the next head is written; what does not match the digest is not used.
//!
//! Refused: compression and differences between versions. The biggest piece (a zone's journal) bounds
//! itself, and a whole piece is right whatever its reader has seen before.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// The most octets in one object; etcd takes 1.5 MiB with all that is around them, base64 included.
pub const PART_LIMIT: usize = 512 * 1024;

/// Keys of the data of an object of shared state.
mod key {
    pub(super) const LENGTH: &str = "length";
    pub(super) const DIGEST: &str = "sha256";
    pub(super) const BYTES: &str = "bytes";
}

/// Data of an object by key, as in a Secret or in a ConfigMap's `binaryData`.
pub type ObjectData = BTreeMap<String, Vec<u8>>;

/// One piece as objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitPiece {
    /// Names and data of the parts, to be there before the head.
    pub parts: Vec<(String, ObjectData)>,
    /// Data of the head.
    pub head: ObjectData,
}

/// Why a piece cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PieceError {
    /// The head is not one of ours.
    #[error("{0} has no usable {1}; delete the object, and the leader makes it anew")]
    Head(String, &'static str),
    /// A part has not arrived, or is gone.
    #[error("{0} is missing")]
    Missing(String),
    /// Somebody changed an object.
    #[error("what {0} and its parts contain does not match its digest; delete them, and the leader makes them anew")]
    Digest(String),
}

/// The name of a piece's head object: readable where the piece's name may be part of an object's name.
pub fn object_name(kind: &str, piece: &str) -> String {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    // `Secret` names have 253 octets; the digest and a number follow in parts' names.
    if piece.len() <= 150 && piece.split('.').all(label) && !piece.starts_with("sha256.") {
        format!("meridian-{kind}.{piece}")
    } else {
        format!(
            "meridian-{kind}.sha256.{}",
            hexadecimal(&Sha256::digest(piece.as_bytes())[..16])
        )
    }
}

fn part_name(head: &str, digest: &str, number: usize) -> String {
    format!("{head}.part-{}-{number}", digest.get(..16).unwrap_or(digest))
}

/// Whether an object of that name is a part, not a head.
pub fn is_part(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| last.starts_with("part-"))
}

/// Whether an object of that name is a part of that head.
pub fn is_part_of(name: &str, head: &str) -> bool {
    is_part(name) && name.rsplit_once('.').is_some_and(|(before, _)| before == head)
}

/// Splits a piece into objects with at most so many octets of it each.
pub fn split(head: &str, bytes: &[u8], limit: usize) -> SplitPiece {
    let digest = hexadecimal(&Sha256::digest(bytes));
    let mut data = ObjectData::from([
        (key::LENGTH.to_owned(), bytes.len().to_string().into_bytes()),
        (key::DIGEST.to_owned(), digest.clone().into_bytes()),
    ]);
    let mut parts = Vec::new();
    if bytes.len() <= limit {
        data.insert(key::BYTES.to_owned(), bytes.to_vec());
    } else {
        for (number, chunk) in bytes.chunks(limit.max(1)).enumerate() {
            let part = ObjectData::from([(key::BYTES.to_owned(), chunk.to_vec())]);
            parts.push((part_name(head, &digest, number), part));
        }
    }
    SplitPiece { parts, head: data }
}

/// Puts a piece together; `object` gives the data of the objects that are there.
pub fn join<'a>(head: &str, object: impl Fn(&str) -> Option<&'a ObjectData>) -> Result<Vec<u8>, PieceError> {
    let data = object(head).ok_or_else(|| PieceError::Missing(head.to_owned()))?;
    let text = |key: &'static str| {
        let octets = data.get(key).and_then(|octets| std::str::from_utf8(octets).ok());
        octets.ok_or_else(|| PieceError::Head(head.to_owned(), key))
    };
    let digest = text(key::DIGEST)?;
    let length: usize = text(key::LENGTH)?
        .parse()
        .map_err(|_| PieceError::Head(head.to_owned(), key::LENGTH))?;
    let mut bytes = data.get(key::BYTES).cloned().unwrap_or_default();
    let mut number = 0;
    while bytes.len() < length {
        let name = part_name(head, digest, number);
        let part = object(&name).and_then(|data| data.get(key::BYTES));
        let part = part.filter(|part| !part.is_empty());
        bytes.extend(part.ok_or(PieceError::Missing(name))?);
        number += 1;
    }
    if bytes.len() == length && hexadecimal(&Sha256::digest(&bytes)) == digest {
        Ok(bytes)
    } else {
        Err(PieceError::Digest(head.to_owned()))
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(head: &str, split: SplitPiece) -> BTreeMap<String, ObjectData> {
        split.parts.into_iter().chain([(head.to_owned(), split.head)]).collect()
    }

    #[test]
    fn pieces_of_any_length_come_back() {
        for (length, count) in [(0, 1), (1, 1), (10, 1), (11, 3), (20, 3), (21, 4)] {
            let bytes: Vec<u8> = (0..length).collect();
            let objects = objects("h", split("h", &bytes, 10));
            assert_eq!(objects.len(), count, "{length}");
            assert!(objects.keys().all(|name| name == "h" || is_part_of(name, "h")));
            assert_eq!(join("h", |name| objects.get(name)), Ok(bytes));
        }
    }

    #[test]
    fn a_version_is_whole_or_not_there() {
        let (old, new) = (split("h", &[1; 30], 10), split("h", &[2; 40], 10));
        let mut all = objects("h", old.clone());
        // The parts of the next version are there, its head is not.
        all.extend(new.parts.clone());
        assert_eq!(join("h", |name| all.get(name)), Ok(vec![1; 30]));
        // Its head is there, a part of it is not any more.
        all.insert("h".to_owned(), new.head.clone());
        assert_eq!(join("h", |name| all.get(name)), Ok(vec![2; 40]));
        all.remove(&new.parts[1].0);
        assert_eq!(
            join("h", |name| all.get(name)),
            Err(PieceError::Missing(new.parts[1].0.clone()))
        );
        // Somebody edits.
        let mut edited = objects("h", new.clone());
        edited
            .get_mut(&new.parts[0].0)
            .expect("a part")
            .insert("bytes".to_owned(), vec![3; 10]);
        assert_eq!(
            join("h", |name| edited.get(name)),
            Err(PieceError::Digest("h".to_owned()))
        );
        for (missing, key) in [("sha256", "sha256"), ("length", "length")] {
            let mut broken = objects("h", new.clone());
            broken.get_mut("h").expect("the head").remove(missing);
            assert_eq!(
                join("h", |name| broken.get(name)),
                Err(PieceError::Head("h".to_owned(), key))
            );
        }
    }

    #[test]
    fn every_piece_has_a_name_of_its_own_that_kubernetes_takes() {
        let names = [
            "current",
            "example.test",
            "_dmarc.example.test",
            "a\\046b.test",
            "",
            &"x".repeat(200),
            "sha256.x",
        ];
        let made: Vec<_> = names.iter().map(|name| object_name("journal", name)).collect();
        assert_eq!(made[1], "meridian-journal.example.test");
        for (index, name) in made.iter().enumerate() {
            assert!(
                !made[..index].contains(name) && name.len() <= 200 && !is_part(name),
                "{name}"
            );
            let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
            assert!(name.chars().all(valid) && !name.ends_with('.'), "{name}");
        }
    }
}
