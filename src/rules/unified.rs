//! The difference of two texts as `diff -u` writes it.

/// Lines around a change that are shown with it.
const AROUND: usize = 3;

#[derive(Clone, Copy)]
enum Line<'t> {
    Same(&'t str),
    Gone(&'t str),
    New(&'t str),
}

impl<'t> Line<'t> {
    fn shown(self) -> (char, &'t str) {
        match self {
            Line::Same(text) => (' ', text),
            Line::Gone(text) => ('-', text),
            Line::New(text) => ('+', text),
        }
    }

    fn is_same(self) -> bool {
        matches!(self, Line::Same(_))
    }
}

/// Nothing where both are the same.
pub fn unified(name: &str, old: &str, new: &str) -> String {
    let lines = aligned(
        &old.split_inclusive('\n').collect::<Vec<_>>(),
        &new.split_inclusive('\n').collect::<Vec<_>>(),
    );
    let changes: Vec<usize> = (0..lines.len()).filter(|at| !lines[*at].is_same()).collect();
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for at in changes {
        let (begin, end) = (at.saturating_sub(AROUND), (at + AROUND + 1).min(lines.len()));
        match hunks.last_mut() {
            Some(last) if begin <= last.1 => last.1 = end,
            _ => hunks.push((begin, end)),
        }
    }
    let mut out = if hunks.is_empty() { String::new() } else { format!("--- {name}\n+++ {name}\n") };
    for (begin, end) in hunks {
        out += &hunk(&lines, begin, end);
    }
    out
}

fn hunk(lines: &[Line], begin: usize, end: usize) -> String {
    let count = |lines: &[Line], sign: char| lines.iter().filter(|line| line.shown().0 != sign).count();
    let place = |sign: char| {
        let (before, there) = (count(&lines[..begin], sign), count(&lines[begin..end], sign));
        // A side without a line is named by the line before it.
        (if there == 0 { before } else { before + 1 }, there)
    };
    let ((old, old_count), (new, new_count)) = (place('+'), place('-'));
    let mut out = format!("@@ -{old},{old_count} +{new},{new_count} @@\n");
    for line in &lines[begin..end] {
        let (sign, text) = line.shown();
        out.push(sign);
        out.push_str(text);
        if !text.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
    out
}

/// By the longest common sequence of lines.
fn aligned<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Line<'t>> {
    let mut common = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            let longer = common[a + 1][b].max(common[a][b + 1]);
            common[a][b] = if old[a] == new[b] { common[a + 1][b + 1] + 1 } else { longer };
        }
    }
    let (mut a, mut b, mut lines) = (0, 0, Vec::new());
    while a < old.len() || b < new.len() {
        if a < old.len() && b < new.len() && old[a] == new[b] {
            lines.push(Line::Same(old[a]));
            (a, b) = (a + 1, b + 1);
        } else if b == new.len() || a < old.len() && common[a + 1][b] >= common[a][b + 1] {
            lines.push(Line::Gone(old[a]));
            a += 1;
        } else {
            lines.push(Line::New(new[b]));
            b += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_the_lines_around_it() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n";
        let expected = "--- a.toml\n+++ a.toml\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n";
        assert_eq!(unified("a.toml", old, new), expected);
        assert_eq!(unified("a.toml", old, old), "");
        let gone = "--- a\n+++ a\n@@ -1,2 +1,1 @@\n x\n-y\n\\ No newline at end of file\n";
        assert_eq!(unified("a", "x\ny", "x\n"), gone);
    }
}
