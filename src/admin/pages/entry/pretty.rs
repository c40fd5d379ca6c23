//! An entry's bytes for people: the same members in the same order, with line breaks.

/// Adds white space to JSON that has none. What is no JSON comes out somehow, and whole.
pub fn pretty(text: &str) -> String {
    let (mut out, mut depth) = (String::with_capacity(text.len() * 2), 0_usize);
    let (mut in_string, mut is_escaped, mut is_empty) = (false, false, false);
    for char in text.chars() {
        if in_string {
            out.push(char);
            in_string = is_escaped || char != '"';
            is_escaped = char == '\\' && !is_escaped;
            continue;
        }
        let closes = matches!(char, '}' | ']');
        depth = if closes { depth.saturating_sub(1) } else { depth };
        // What is empty stays on its line.
        if is_empty != closes && (is_empty || closes) {
            line(&mut out, depth);
        }
        is_empty = matches!(char, '{' | '[');
        depth += usize::from(is_empty);
        in_string = char == '"';
        out.push(char);
        match char {
            ',' => line(&mut out, depth),
            ':' => out.push(' '),
            _ => {}
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_in_their_order() {
        let text = r#"{"v":1,"b":[],"a":{},"text":"a \"b\", {c: [d]} \\","list":[1,{"z":null,"y":-2.5}]}"#;
        let wanted = r#"{
  "v": 1,
  "b": [],
  "a": {},
  "text": "a \"b\", {c: [d]} \\",
  "list": [
    1,
    {
      "z": null,
      "y": -2.5
    }
  ]
}"#;
        assert_eq!(pretty(text), wanted);
    }

    #[test]
    fn what_is_no_json_loses_nothing() {
        for text in ["", "}]}", "\"", "{\"a", "no json at all", "é\\"] {
            let bare = |text: &str| text.replace([' ', '\n'], "");
            assert_eq!(bare(&pretty(text)), bare(text), "{text}");
        }
    }
}
