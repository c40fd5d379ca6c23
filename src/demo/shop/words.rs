//! The generator behind the sample data, and the word lists of the shop itself: what it sells, what its
//! staff write and what comes with an order.
//!
//! A list is one string with `|` between its entries. In patterns `#` stands for a digit and `@` for a
//! capital letter. The lists of the countries are in `locales`.

const SEED: u64 = 0x5eed_0f5a_317e_600d;

/// A splitmix64 generator. Every document has a stream of its own, so that one of them can change
/// without changing the rest.
pub(super) struct Rng(u64);

impl Rng {
    /// The stream of the document `number` of a kind.
    pub fn stream(kind: &str, number: u64) -> Rng {
        Rng(SEED ^ hash(kind.as_bytes()) ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` up to, but not including, `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.draw() % (high - low)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.between(0, 100) < percent
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.between(0, items.len() as u64) as usize]
    }

    /// One entry of a list.
    pub fn choose<'a>(&mut self, list: &'a str) -> &'a str {
        let entries = list.split('|').count() as u64;
        let chosen = self.between(0, entries) as usize;
        list.split('|').nth(chosen).unwrap_or_default()
    }

    /// A pattern with its digits and letters filled in; the letters are those that all postal codes use.
    pub fn fill(&mut self, pattern: &str) -> String {
        let symbol = |mark| match mark {
            '#' => char::from(b'0' + self.between(0, 10) as u8),
            '@' => char::from(*self.pick(b"ABDEGHJLNPRSTWXZ")),
            other => other,
        };
        pattern.chars().map(symbol).collect()
    }
}

/// FNV-1a: spreads names over streams, nodes and tags; not a cryptographic hash.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// An article that the shop sells.
pub(super) struct Product {
    pub sku: &'static str,
    pub name: &'static str,
    pub cents: i64,
    pub weight_g: u64,
}

const fn product(sku: &'static str, name: &'static str, cents: i64, weight_g: u64) -> Product {
    Product { sku, name, cents, weight_g }
}

/// What the shop sells.
pub(super) const PRODUCTS: [Product; 24] = [
    product("LMP-AUR-02", "Aurora desk lamp, 2nd generation", 8990, 1450),
    product("LMP-AUR-CL", "Aurora clamp mount", 1495, 320),
    product("CAM-OWL-4K", "Owl door camera 4K", 17900, 610),
    product("CAM-OWL-BT", "Owl battery pack", 3450, 280),
    product("SPK-TRN-01", "Tern kitchen speaker", 12900, 1820),
    product("SPK-TRN-ST", "Tern speaker, stereo pair", 23900, 3640),
    product("HUB-MSA-03", "Mesa home hub 3", 9990, 440),
    product("SNS-DRP-4P", "Drip leak sensor, pack of four", 6490, 360),
    product("SNS-AIR-01", "Breeze air quality sensor", 7995, 210),
    product("THM-EMB-02", "Ember radiator thermostat", 5490, 240),
    product("THM-EMB-6P", "Ember thermostat, six rooms", 29900, 1440),
    product("LCK-RVN-01", "Raven smart lock", 21900, 1130),
    product("LCK-RVN-KP", "Raven keypad, weatherproof", 4990, 190),
    product("PLG-NIB-2P", "Nib energy plug, twin pack", 3990, 260),
    product("CBL-USC-2M", "USB-C cable 2 m, braided", 1290, 60),
    product("CHR-USC-65", "USB-C charger 65 W", 3995, 170),
    product("SCL-FTH-01", "Feather body scale", 6990, 2100),
    product("BLD-HRN-XL", "Heron roller blind motor", 14900, 980),
    product("TAG-FND-4P", "Finch key finder, pack of four", 4490, 48),
    product("GRD-SPR-01", "Sprig garden watering valve", 8490, 730),
    product("KID-NGT-01", "Little Owl night light", 2990, 310),
    product("BOK-HOM-DE", "Handbuch: Das leise Haus", 2995, 890),
    product("GFT-CRD-50", "Gift card, printed", 5000, 12),
    product("BAG-TOT-CT", "Canvas tote bag", 1250, 140),
];

/// Software that customers register: name, serial number prefix, versions in the field.
pub(super) const SOFTWARE: [(&str, &str, &str); 5] = [
    ("Mesa Studio", "MST", "5.2.0|5.2.1|5.3.0|5.3.4"),
    ("Owl Archive", "OWA", "2.9.7|3.0.0|3.0.2"),
    ("Tern Tuner Pro", "TTP", "11.4|11.5|12.0"),
    ("Ember Planner", "EMP", "1.18.0|1.19.0|1.19.3"),
    ("Raven Access Console", "RAC", "4.0.1|4.1.0|4.1.2"),
];

/// Why the fraud check looked at an order.
pub(super) const RISK_REASONS: &str =
    "new_address|many_cards|night_order|address_mismatch|free_mail|vpn_exit";

/// What staff write about a customer when no customer is looking.
pub(super) const STAFF_NOTES: &str = "Called {phone}, no answer, left a message|Asked to ring twice, hard of \
    hearing|{name} disputes the last invoice, be generous|Do not offer a discount again, third time this \
    year|Address checked against the ID copy, matches|Journalist, refer questions to the press office|\
    Neighbour took the previous parcel and kept it|Prefers e-mail: {email}|Divorce: never mention orders \
    of the other household member|Date of birth {born} confirmed on the phone";

/// Who writes those notes.
pub(super) const STAFF: &str = "m.hendriks|j.okafor|s.lindqvist|a.demir|p.novotna|t.nakata";

/// What customers order with.
pub(super) const USER_AGENTS: &str = "ShopApp/7.3 (iPhone; iOS 19.1)|ShopApp/7.2 (Android 16; Pixel 9)|\
    Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0|\
    Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/19.0 Safari/605.1.15";

/// What comes with a present.
pub(super) const GIFT_MESSAGES: &str = "Happy birthday, {name}!|Thank you for watering the plants. M.|\
    Alles Gute zum Einzug!|Gefeliciteerd met jullie huis!|Bon anniversaire {name}, on t'embrasse";
