//! What is usual: medians of the days before, weekdays and weekends apart.

use std::collections::{BTreeMap, HashMap};

use super::BACK;

/// Counts by hours since 1970.
#[derive(Default)]
pub struct Usual(HashMap<i64, u64>);

impl Usual {
    pub fn add(&mut self, hour: i64, count: u64) {
        *self.0.entry(hour).or_default() += count;
    }

    pub fn hour(&self, hour: i64) -> u64 {
        self.0.get(&hour).copied().unwrap_or_default()
    }

    /// A whole day, in days since 1970.
    pub fn day(&self, day: i64) -> u64 {
        (day * 24..(day + 1) * 24).map(|hour| self.hour(hour)).sum()
    }

    /// Of a day, up to and with the hour that `now` is in its day.
    pub fn so_far(&self, day: i64, now: i64) -> u64 {
        (day * 24..=day * 24 + now.rem_euclid(24)).map(|hour| self.hour(hour)).sum()
    }

    /// The same of days like this one.
    pub fn usual_so_far(&self, today: i64, now: i64) -> u64 {
        median(alike(today).map(|day| self.so_far(day, now)).collect())
    }

    /// In this hour of days like that.
    pub fn usual_hour(&self, hour: i64) -> u64 {
        let (day, of_day) = (hour.div_euclid(24), hour.rem_euclid(24));
        median(alike(day).map(|day| self.hour(day * 24 + of_day)).collect())
    }
}

/// Of whole days like this one, where counts are by days.
pub fn of_days(today: i64, counts: &BTreeMap<i64, u64>) -> u64 {
    median(alike(today).map(|day| counts.get(&day).copied().unwrap_or_default()).collect())
}

/// The days before that are weekdays where this one is, and weekends where it is.
fn alike(day: i64) -> impl Iterator<Item = i64> {
    (day - BACK..day).filter(move |before| is_weekend(*before) == is_weekend(day))
}

/// 1970-01-01 was a Thursday.
fn is_weekend(day: i64) -> bool {
    (day + 3).rem_euclid(7) >= 5
}

fn median(mut counts: Vec<u64>) -> u64 {
    counts.sort_unstable();
    counts.get(counts.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_is_that_of_days_alike_and_one_loud_day_does_not_change_it() {
        let (mut usual, friday) = (Usual::default(), 20_784);
        assert!(
            !is_weekend(friday)
                && is_weekend(friday + 1)
                && is_weekend(friday + 2)
                && !is_weekend(friday + 3)
        );
        for day in friday - BACK..friday {
            let count = if is_weekend(day) { 3 } else { 40 };
            (8..18).for_each(|hour| usual.add(day * 24 + hour, count));
        }
        usual.add((friday - 1) * 24 + 9, 100_000);
        let now = friday * 24 + 9;
        usual.add(now, 7);
        assert_eq!((usual.usual_so_far(friday, now), usual.so_far(friday, now)), (80, 7));
        assert_eq!((usual.usual_hour(now), usual.usual_hour(friday * 24 + 3)), (40, 0));
        assert_eq!(usual.usual_hour((friday + 1) * 24 + 9), 3);
        assert_eq!(usual.day(friday - 3), 400);
        assert_eq!(Usual::default().usual_so_far(friday, now), 0);
        let customers =
            (friday - BACK..=friday).map(|day| (day, if is_weekend(day) { 5 } else { 12 })).collect();
        assert_eq!((of_days(friday, &customers), of_days(friday + 1, &customers)), (12, 5));
    }
}
