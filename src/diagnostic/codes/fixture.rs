//! Codes of fixtures: examples that `check` runs.

use super::{Code, code};

pub(super) const ALL: &[Code] =
    &[FIXTURE_WITHOUT_ROUTE, FIXTURE_REFUSED, FIXTURE_NOTHING_LEAVES, FIXTURE_UNEXPECTED, FIXTURE_DIFFERS];

pub const FIXTURE_WITHOUT_ROUTE: Code = code(
    "E501",
    "no route serves a fixture's request",
    "The example asks for something that these rules do not give. Either it is old, or the rules lost something.",
    r#"path = "/order/1""#,
    r#"path = "/orders/1""#,
);

pub const FIXTURE_REFUSED: Code = code(
    "E502",
    "a fixture's upstream response is refused",
    "An upstream that answers so gets 502, and nothing leaves. Mostly the example is not JSON, or names one key twice.",
    r#"{"order_id": 1, "order_id": 2}"#,
    r#"{"order_id": 1}"#,
);

pub const FIXTURE_NOTHING_LEAVES: Code = code(
    "E503",
    "something is expected of a fixture and nothing leaves",
    "The condition of the route does not hold for this example.",
    r#"when = "@.status == 'shipped'"   # and the example is ready_to_ship"#,
    r#"when = "@.status == 'ready_to_ship'""#,
);

pub const FIXTURE_UNEXPECTED: Code = code(
    "E504",
    "nothing is expected of a fixture and something leaves",
    "The rules disclose what the example says must stay. Look at the rules before you look at the example.",
    "# no expected.json, and the condition holds",
    "# expected.json holds what leaves",
);

pub const FIXTURE_DIFFERS: Code = code(
    "E505",
    "what leaves a fixture is not what is expected",
    "The rules disclose more, less or other than the example says. Look at the rules before you look at the example.",
    r#"{"order_id": 1, "phone": "+31612345678"}"#,
    r#"{"order_id": 1}"#,
);
