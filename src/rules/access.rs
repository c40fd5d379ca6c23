//! From where and when a task may be used.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};

use crate::diagnostic::table::{At, Table, Value};
use crate::diagnostic::{Report, codes};

const DAYS: &[&str] = &["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What `[task.limits]` says of places and times; by default, everywhere and always.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// None: from anywhere.
    pub networks: Vec<IpNet>,
    /// None: at any time.
    pub hours: Option<Hours>,
}

/// Hours of the days of a week, by the clock of one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Hours {
    /// From Monday.
    days: [bool; 7],
    from: Time,
    /// Of the next day, where it is not after `from`.
    to: Time,
    zone: TimeZone,
}

impl Access {
    /// Whether a request may come from there.
    pub fn takes(&self, address: IpAddr) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&address))
    }

    /// Reads `networks` and `hours` out of `[task.limits]`.
    pub fn read(table: &mut Table, report: &mut Report) -> Self {
        let networks = table.get("networks").map_or_else(Vec::new, |value| networks(&value, report));
        let hours = table.get("hours").and_then(|value| value.read_table(report, Hours::read));
        Access { networks, hours }
    }
}

fn networks(value: &Value, report: &mut Report) -> Vec<IpNet> {
    let list = value.list(report);
    if list.as_ref().is_some_and(Vec::is_empty) {
        report.add(
            codes::EMPTY_LIST,
            &value.span(),
            value.key(),
            "lists no network",
            "leave it out to take requests from anywhere",
        );
    }
    let parse = |text: &str| {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| "a network or an address, such as \"192.0.2.0/24\" or \"2001:db8::/32\"")
    };
    list.iter()
        .flatten()
        .filter_map(|network| network.parse(report, parse).and_then(|network| whole(network, report)))
        .collect()
}

/// An address behind the prefix is most likely a slip, and would widen what is meant.
fn whole(network: At<IpNet>, report: &mut Report) -> Option<IpNet> {
    let written = network.value;
    if let IpNet::V6(mapped) = written
        && mapped.addr().to_ipv4_mapped().is_some()
    {
        let help = "write the IPv4 network: addresses are compared in that form";
        report.add(
            codes::NETWORK_MAPPED,
            &network.span,
            &network.key,
            "is an IPv4 network in the form of IPv6",
            help,
        );
        return None;
    }
    if written.addr() == written.network() {
        return Some(written);
    }
    let help = format!("write \"{}\", or \"{}\" for the one address", written.trunc(), written.addr());
    report.add(codes::NETWORK_BITS, &network.span, &network.key, "has bits behind its prefix", help);
    None
}

impl Hours {
    fn read(table: &mut Table, report: &mut Report) -> Option<Self> {
        let from = table.require(report, "from", "\"07:00\"").and_then(|value| value.parse(report, time));
        let to = table.require(report, "to", "\"19:00\"").and_then(|value| value.parse(report, time));
        let days = table.get("days").map(|value| days(&value, report));
        let zone = match table.get("zone") {
            Some(value) => value.parse(report, zone).map(|at| at.value),
            None => Some(TimeZone::UTC),
        };
        let (from, to) = (from?, to?);
        if from.value == to.value {
            report.add(
                codes::HOURS_EMPTY,
                &to.span,
                &to.key,
                "is the same as `from`",
                "leave `hours` out where it is always open",
            );
        }
        Some(Hours { days: days.unwrap_or([true; 7]), from: from.value, to: to.value, zone: zone? })
    }

    pub fn is_in_zone_of(&self, other: &Hours) -> bool {
        self.zone == other.zone
    }

    /// How long until it is open; nothing where it is open now.
    pub fn opens_in(&self, now: Timestamp) -> Option<Duration> {
        let now = now.to_zoned_datetime(self.zone.clone());
        let today = now.date();
        let days = [today.yesterday().ok(), Some(today)];
        if days.into_iter().flatten().any(|day| self.is_open(day, &now)) {
            return None;
        }
        let next = (0..=7).filter_map(|ahead| today.checked_add(ahead.days()).ok());
        let opening = next.filter(|day| self.opens_on(*day)).filter_map(|day| self.at(day, self.from));
        let wait = opening.map(|opening| opening.duration_since(&now)).find(|wait| wait.is_positive());
        Some(wait.map_or(Duration::ZERO, jiff::SignedDuration::unsigned_abs))
    }

    /// Whether it opened on `day` and is open still.
    fn is_open(&self, day: Date, now: &ZonedDateTime) -> bool {
        let end = if self.to > self.from { Ok(day) } else { day.tomorrow() };
        let end = end.ok().and_then(|end| self.at(end, self.to));
        let begin = self.at(day, self.from);
        self.opens_on(day) && begin.is_some_and(|begin| begin <= *now) && end.is_some_and(|end| *now < end)
    }

    fn opens_on(&self, day: Date) -> bool {
        self.days[day.weekday().to_monday_zero_offset() as usize]
    }

    /// A time that a change of clocks leaves out is the one after it.
    fn at(&self, day: Date, time: Time) -> Option<ZonedDateTime> {
        day.to_datetime(time).to_zoned_datetime(self.zone.clone()).ok()
    }
}

fn days(value: &Value, report: &mut Report) -> [bool; 7] {
    let list = value.list(report);
    if list.as_ref().is_some_and(Vec::is_empty) {
        report.add(
            codes::EMPTY_LIST,
            &value.span(),
            value.key(),
            "lists no day",
            "leave it out for all days",
        );
    }
    let day = |text: &str| DAYS.iter().position(|day| *day == text);
    let mut days = [false; 7];
    for day in list.iter().flatten().filter_map(|word| word.word(report, DAYS, day)) {
        days[day.value] = true;
    }
    days
}

/// `24:00` is the end of the day.
fn time(text: &str) -> Result<Time, &'static str> {
    const WRONG: &str = "a time of day from \"00:00\" to \"24:00\", such as \"07:30\"";
    let (hour, minute) = text.split_once(':').filter(|_| text.len() == 5).ok_or(WRONG)?;
    let number = |digits: &str| {
        let all = digits.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| digits.parse().ok()).flatten().ok_or(WRONG)
    };
    match (number(hour)?, number(minute)?) {
        (24, 0) => Ok(Time::midnight()),
        (hour, minute) => Time::new(hour, minute, 0, 0).map_err(|_| WRONG),
    }
}

fn zone(text: &str) -> Result<TimeZone, &'static str> {
    TimeZone::get(text).map_err(|_| "the name of a time zone, such as \"Europe/Amsterdam\" or \"UTC\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(from: &str, to: &str, days: &[usize], name: &str) -> Hours {
        let mut open = [false; 7];
        days.iter().for_each(|day| open[*day] = true);
        Hours { days: open, from: time(from).unwrap(), to: time(to).unwrap(), zone: zone(name).unwrap() }
    }

    fn wait(hours: &Hours, now: &str) -> Option<u64> {
        hours.opens_in(now.parse().unwrap()).map(|wait| wait.as_secs() / 60)
    }

    #[test]
    fn office_hours_are_those_of_the_place_in_summer_and_in_winter() {
        let office = hours("08:00", "18:00", &[0, 1, 2, 3, 4], "Europe/Amsterdam");
        // A Thursday in winter (UTC+1) and one in summer (UTC+2).
        assert_eq!(wait(&office, "2026-11-26T06:59:00Z"), Some(1));
        assert_eq!(wait(&office, "2026-11-26T07:00:00Z"), None);
        assert_eq!(wait(&office, "2026-11-26T16:59:59Z"), None);
        assert_eq!(wait(&office, "2026-11-26T17:00:00Z"), Some(14 * 60));
        assert_eq!(wait(&office, "2026-07-02T06:00:00Z"), None);
        // Friday evening: until Monday.
        assert_eq!(wait(&office, "2026-11-27T17:00:00Z"), Some((2 * 24 + 14) * 60));
    }

    #[test]
    fn a_night_belongs_to_the_day_that_it_begins_on() {
        let night = hours("22:00", "06:00", &[4], "UTC");
        assert_eq!(wait(&night, "2026-11-27T22:00:00Z"), None);
        assert_eq!(wait(&night, "2026-11-28T05:59:00Z"), None);
        assert!(wait(&night, "2026-11-28T06:00:00Z").is_some());
        assert!(wait(&night, "2026-11-27T05:00:00Z").is_some());
        let all_day = hours("00:00", "24:00", &[4], "UTC");
        assert_eq!(wait(&all_day, "2026-11-27T23:59:59Z"), None);
        assert_eq!(wait(&all_day, "2026-11-28T00:00:00Z"), Some(6 * 24 * 60));
    }

    #[test]
    fn a_clock_change_leaves_no_gap_and_does_not_close_for_good() {
        // In this night the clock goes from 02:00 to 03:00.
        let early = hours("02:30", "04:00", &[6], "Europe/Amsterdam");
        assert_eq!(wait(&early, "2026-03-29T01:29:00Z"), Some(1));
        assert_eq!(wait(&early, "2026-03-29T01:30:00Z"), None);
    }

    #[test]
    fn times_are_read_strictly() {
        for wrong in ["7:00", "07:60", "25:00", "24:01", "+7:00", "0700", "07:00:00", ""] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_hold_their_addresses() {
        let access = Access { networks: vec!["192.0.2.0/24".parse().unwrap()], hours: None };
        assert!(access.takes("192.0.2.9".parse().unwrap()) && !access.takes("192.0.3.9".parse().unwrap()));
        assert!(!access.takes("::1".parse().unwrap()));
        assert!(Access::default().takes("::1".parse().unwrap()));
    }
}
