//! Plain words for what rules and entries write in short. What is not known is shown as it is written.

use super::{countries, path};

/// What was disclosed of a field: `Recipient phone`, or `Shipping address: street, city`.
///
/// The last names, with the one that they are in, so that a customer's name and a product's can be told
/// apart.
pub fn field(path: &str) -> String {
    let segments = path::names(path);
    let (last, parents) = match segments.as_slice() {
        [] => return "The whole record".to_owned(),
        [last] => (last, None),
        [.., parents, last] => (last, Some(parents)),
    };
    let list = last.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", ");
    let text = match parents {
        None => list,
        Some(parents) => {
            let within = parents.iter().map(|name| plain(name)).collect::<Vec<_>>().join(" and ");
            let between = if last.len() > 1 { ": " } else { " " };
            format!("{within}{between}{list}")
        }
    };
    // A name may be empty or blank, which nobody could read.
    if text.trim().is_empty() { path.to_owned() } else { capital(&text) }
}

/// What was done to the field before it left.
pub fn transform(word: &str) -> &str {
    match word {
        "last4" => "last four characters only",
        "mask" => "partly masked",
        "initials" => "initials only",
        "email-domain" => "domain of the e-mail address only",
        "year" => "year only",
        "truncate" => "shortened",
        "pseudonym" => "replaced by a code name",
        "redact" => "replaced by a placeholder",
        "rewrite-url" => "link",
        other => other,
    }
}

/// GDPR, Article 6(1), points (a) to (c).
pub fn basis(word: &str) -> &str {
    match word {
        "contract" => "Contract: needed to perform a contract with you",
        "consent" => "Consent: you agreed to this use",
        "legal-obligation" => "Legal obligation: required by law",
        other => other,
    }
}

/// GDPR, Articles 45 to 49.
pub fn transfer(word: &str) -> &str {
    match word {
        "adequacy" => "Adequacy decision for the country of destination",
        "scc" => "Standard contractual clauses",
        "bcr" => "Binding corporate rules",
        "derogation" => "Derogation for a specific situation",
        other => other,
    }
}

pub fn country(code: &str) -> &str {
    countries::name(code).unwrap_or(code)
}

/// `once`, `twice`, `1,234 times`.
pub fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{} times", number(count)),
    }
}

/// With a comma between thousands.
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `postal_code` and `postalCode` are both `postal code`.
fn plain(name: &str) -> String {
    let mut spaced = String::with_capacity(name.len() + 4);
    let mut lower = false;
    for char in name.chars() {
        match char {
            '_' | '-' => spaced.push(' '),
            char if lower && char.is_uppercase() => {
                spaced.push(' ');
                spaced.extend(char.to_lowercase());
            }
            char => spaced.push(char),
        }
        lower = char.is_lowercase();
    }
    spaced.split_whitespace().map(usual).collect::<Vec<_>>().join(" ")
}

/// A word as it is usually written.
fn usual(word: &str) -> &str {
    match word {
        "id" => "ID",
        "ids" => "IDs",
        "ip" => "IP",
        "url" => "URL",
        "iban" => "IBAN",
        "email" => "e-mail",
        word => word,
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_plain_words() {
        for (path, words) in [
            ("@.order_id", "Order ID"),
            ("@.recipient.phone", "Recipient phone"),
            ("@.customer['name','email']", "Customer: name, e-mail"),
            ("@['ticket_id','opened_at','status']", "Ticket ID, opened at, status"),
            (
                "@.shipping_address['street','city','postal_code']",
                "Shipping address: street, city, postal code",
            ),
            ("$.data[*].customer.homeAddress", "Customer home address"),
            ("@['home','work']['street','city']", "Home and work: street, city"),
            ("@.notes[*]", "Notes"),
            ("@..email", "E-mail"),
            ("@.*", "The whole record"),
            ("$", "The whole record"),
            ("@.éclair", "Éclair"),
            ("@['<script>']", "<script>"),
            ("@['']", "@['']"),
        ] {
            assert_eq!(field(path), words, "{path}");
        }
    }

    #[test]
    fn words_of_the_rules_become_plain_words_and_others_stay() {
        assert_eq!(transform("last4"), "last four characters only");
        assert_eq!(basis("consent"), "Consent: you agreed to this use");
        assert_eq!(transfer("scc"), "Standard contractual clauses");
        assert_eq!((country("IE"), country("ZZ")), ("Ireland", "ZZ"));
        assert_eq!((transform("new"), basis("new"), transfer("new")), ("new", "new", "new"));
    }

    #[test]
    fn counts_read_well() {
        assert_eq!([1, 2, 3, 1_234_567].map(times), ["once", "twice", "3 times", "1,234,567 times"]);
        assert_eq!([0, 12, 999, 1_000].map(number), ["0", "12", "999", "1,000"]);
    }
}
