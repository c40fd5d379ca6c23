//! The cosignatures of one head, as they come in.

use crate::ledger::{Head, Note, NoteError, Signature};

/// The newest head that was submitted, and who has cosigned it.
#[derive(Debug)]
pub struct Gathering {
    head: Head,
    /// One place for each witness.
    cosignatures: Vec<Option<Signature>>,
    /// How many of them are on the disk.
    kept: usize,
}

impl Gathering {
    pub fn new(head: Head, witnesses: usize) -> Self {
        Self { head, cosignatures: vec![None; witnesses], kept: 0 }
    }

    /// Goes on to a head. Cosignatures of another one say nothing about it.
    pub fn turn_to(&mut self, head: &Head) {
        if self.head != *head {
            *self = Self::new(head.clone(), self.cosignatures.len());
        }
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    pub fn add(&mut self, witness: usize, cosignature: Signature) {
        if let Some(place) = self.cosignatures.get_mut(witness) {
            *place = Some(cosignature);
        }
    }

    /// Whether this witness has cosigned this head.
    pub fn has(&self, witness: usize, head: &Head) -> bool {
        self.head == *head && self.cosignatures.get(witness).is_some_and(Option::is_some)
    }

    /// So many cosignatures are to be kept: there are as many as the quorum says, and more than were kept.
    pub fn to_keep(&self, quorum: usize) -> Option<usize> {
        let count = self.cosignatures.iter().flatten().count();
        (count >= quorum && count > self.kept).then_some(count)
    }

    pub fn kept(&mut self, count: usize) {
        self.kept = count;
    }

    /// The head with the log's signature and all cosignatures.
    ///
    /// # Errors
    /// Where the head is not a signed note.
    pub fn note(&self) -> Result<Note, NoteError> {
        let mut note = Note::parse(&self.head.note)?;
        note.signatures.extend(self.cosignatures.iter().flatten().cloned());
        Ok(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "— log.example AAAAAAA=";
    const FIRST: &str = "— w.example/1 AAAAAAA=";
    const SECOND: &str = "— w.example/2 AAAAAAA=";

    fn head(size: u64) -> Head {
        Head { size, root: [0; 32], note: format!("log.example\n{size}\nroot\n\n{LOG}\n") }
    }

    fn line(text: &str) -> Signature {
        Signature::parse(text).unwrap()
    }

    #[test]
    fn a_head_counts_with_its_quorum_and_what_comes_later_is_kept_too() {
        let mut gathering = Gathering::new(head(5), 2);
        assert_eq!(gathering.to_keep(1), None);
        gathering.add(1, line(SECOND));
        assert_eq!((gathering.to_keep(1), gathering.to_keep(2)), (Some(1), None));
        gathering.kept(1);
        assert_eq!(gathering.to_keep(1), None);
        gathering.add(0, line(FIRST));
        assert_eq!(gathering.to_keep(1), Some(2));
        let note = gathering.note().unwrap().to_string();
        assert_eq!(note, format!("log.example\n5\nroot\n\n{LOG}\n{FIRST}\n{SECOND}\n"));
    }

    #[test]
    fn cosignatures_of_two_heads_are_not_mixed() {
        let mut gathering = Gathering::new(head(5), 2);
        gathering.add(0, line(FIRST));
        gathering.turn_to(&head(5));
        assert!(gathering.has(0, &head(5)) && !gathering.has(0, &head(6)) && !gathering.has(1, &head(5)));
        gathering.turn_to(&head(6));
        gathering.add(1, line(SECOND));
        assert_eq!(gathering.to_keep(2), None);
        assert!(!gathering.has(0, &head(6)));
    }
}
