//! What may leave, in the two forms that entrants take: a tree of names, and paths as text.

/// How a body holds its records.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The body is one record.
    One,
    /// The records are the elements of the member `data`.
    List,
    /// Each line is a record.
    Lines,
}

/// The values of one body that may leave.
pub struct Allowed {
    pub tree: Tree,
    /// JSONPath from `$`.
    pub paths: Vec<String>,
}

/// What may leave at one place.
pub enum Tree {
    /// The value as it is.
    Whole,
    /// These members, where the value is an object.
    Members(Vec<Member>),
    /// Something of each element, where the value is an array.
    Elements(Box<Tree>),
}

pub struct Member {
    name: String,
    /// The name as a reduced object has it, with quotes and colon.
    pub lead: String,
    pub value: Tree,
}

impl Allowed {
    /// `fields` are names within a record, joined by dots.
    pub fn new(shape: Shape, fields: &[&str]) -> Allowed {
        let mut record = Vec::new();
        for field in fields {
            insert(&mut record, field);
        }
        let record = Tree::Members(record);
        let (tree, start) = match shape {
            Shape::One | Shape::Lines => (record, "$"),
            Shape::List => {
                let list = Member::new("data", Tree::Elements(Box::new(record)));
                (Tree::Members(vec![list]), "$.data[*]")
            }
        };
        Allowed { tree, paths: fields.iter().map(|field| format!("{start}.{field}")).collect() }
    }
}

fn insert(members: &mut Vec<Member>, field: &str) {
    let Some((name, rest)) = field.split_once('.') else {
        members.push(Member::new(field, Tree::Whole));
        return;
    };
    let place = members.iter().position(|member| member.name == name).unwrap_or_else(|| {
        members.push(Member::new(name, Tree::Members(Vec::new())));
        members.len() - 1
    });
    if let Tree::Members(below) = &mut members[place].value {
        insert(below, rest);
    }
}

impl Member {
    fn new(name: &str, value: Tree) -> Member {
        Member { name: name.to_owned(), lead: format!("\"{name}\":"), value }
    }
}

impl Tree {
    pub fn member(&self, name: &str) -> Option<&Member> {
        match self {
            Tree::Members(members) => members.iter().find(|member| member.name == name),
            Tree::Whole | Tree::Elements(_) => None,
        }
    }
}
