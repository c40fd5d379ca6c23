//! When to say that entries are not witnessed: once when it begins, once when it is over.

use std::time::Duration;

/// How long entries may go without witnesses before the log says so.
const WARN_AFTER: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Quiet,
    Warned,
    Refusing,
}

/// How old the oldest entry without witnesses may become.
#[derive(Debug)]
pub struct Alarm {
    warn_after: Duration,
    refuse_after: Option<Duration>,
    level: Level,
}

impl Alarm {
    /// Where requests are to be refused, the warning comes in half of that time at the latest: somebody must be
    /// able to do something about it.
    pub fn new(refuse_after: Option<Duration>) -> Self {
        let half = refuse_after.map_or(WARN_AFTER, |time| time / 2);
        Self { warn_after: WARN_AFTER.min(half), refuse_after, level: Level::Quiet }
    }

    pub fn refuse_after(&self) -> Option<Duration> {
        self.refuse_after
    }

    /// Takes the age of the oldest entry without witnesses, where there is one; the new level where it is
    /// another than before.
    pub fn turn(&mut self, age: Option<Duration>) -> Option<Level> {
        let over = |limit: Duration| age.is_some_and(|age| age >= limit);
        let level = match () {
            () if self.refuse_after.is_some_and(over) => Level::Refusing,
            () if over(self.warn_after) => Level::Warned,
            () => Level::Quiet,
        };
        (std::mem::replace(&mut self.level, level) != level).then_some(level)
    }

    /// How long it takes until the level rises, if nothing happens; nothing where it does not.
    pub fn rises_in(&self, age: Duration) -> Option<Duration> {
        let limits = [Some(self.warn_after), self.refuse_after];
        limits.into_iter().flatten().filter(|limit| *limit > age).min().map(|limit| limit - age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn it_warns_once_and_says_once_that_it_is_over() {
        let mut alarm = Alarm::new(None);
        assert_eq!(alarm.turn(None), None);
        assert_eq!(alarm.turn(Some(14 * MINUTE)), None);
        assert_eq!(alarm.rises_in(14 * MINUTE), Some(MINUTE));
        assert_eq!(alarm.turn(Some(15 * MINUTE)), Some(Level::Warned));
        assert_eq!(alarm.turn(Some(9999 * MINUTE)), None);
        assert_eq!(alarm.rises_in(9999 * MINUTE), None);
        assert_eq!(alarm.turn(None), Some(Level::Quiet));
        assert_eq!(alarm.turn(Some(MINUTE)), None);
    }

    #[test]
    fn it_warns_before_it_refuses() {
        let mut alarm = Alarm::new(Some(10 * MINUTE));
        assert_eq!(alarm.turn(Some(5 * MINUTE)), Some(Level::Warned));
        assert_eq!(alarm.rises_in(5 * MINUTE), Some(5 * MINUTE));
        assert_eq!(alarm.turn(Some(10 * MINUTE)), Some(Level::Refusing));
        assert_eq!(alarm.turn(Some(MINUTE)), Some(Level::Quiet));
        let mut long = Alarm::new(Some(100 * MINUTE));
        assert_eq!(long.turn(Some(15 * MINUTE)), Some(Level::Warned));
    }
}
