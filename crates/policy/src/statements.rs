//! Where the rules of a text begin, and whether they are small enough to be given to Cedar, whose parser recurses.

use crate::PolicyError;

/// Longest rule, bytes.
const MAX_RULE: usize = 4096;
/// Deepest nesting of brackets.
const MAX_DEPTH: usize = 32;
/// Most `else` of one rule.
const MAX_CHOICES: usize = 32;

/// The line, from 1, on which an offset lies.
pub(crate) fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|b| *b == b'\n').count()
}

/// Offsets at which rules begin, in order. What is no Cedar at all may give any offsets.
pub(crate) fn starts(text: &str) -> Result<Vec<usize>, PolicyError> {
    let bytes = text.as_bytes();
    let (mut found, mut at, mut start, mut depth) = (Vec::new(), 0, None, 0usize);
    while at < bytes.len() {
        let next = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => end_of_line(bytes, at),
            byte if byte.is_ascii_whitespace() => at + 1,
            byte => {
                let from = *start.get_or_insert_with(|| {
                    found.push(at);
                    at
                });
                match byte {
                    b'(' | b'[' | b'{' => depth += 1,
                    b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                    b';' => (start, depth) = (None, 0),
                    _ => {}
                }
                let next = if byte == b'"' { end_of_text(bytes, at) } else { at + 1 };
                limits(text, from, next, depth)?;
                next
            }
        };
        at = next;
    }
    choices(text, &found)?;
    Ok(found)
}

fn limits(text: &str, from: usize, to: usize, depth: usize) -> Result<(), PolicyError> {
    let at = |problem: String, remedy: &'static str| Err(PolicyError::At { line: line(text, from), problem, remedy });
    if to - from > MAX_RULE {
        return at(format!("the rule has more than {MAX_RULE} bytes"), "write several rules");
    }
    if depth > MAX_DEPTH {
        return at(format!("the rule nests brackets more than {MAX_DEPTH} deep"), "write several rules");
    }
    Ok(())
}

/// Refuses rules with more choices than anybody reads.
fn choices(text: &str, starts: &[usize]) -> Result<(), PolicyError> {
    let ends = starts.iter().copied().skip(1).chain([text.len()]);
    for (start, end) in starts.iter().copied().zip(ends) {
        let words = text.as_bytes()[start..end].windows(4).filter(|w| w == b"else").count();
        if words > MAX_CHOICES {
            let problem = format!("the rule has more than {MAX_CHOICES} `else`");
            return Err(PolicyError::At { line: line(text, start), problem, remedy: "write several rules" });
        }
    }
    Ok(())
}

fn end_of_line(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| from + n + 1)
}

/// Behind the quotation mark that ends a text.
fn end_of_text(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_begin_behind_comments_and_semicolons_outside_of_texts() {
        let text = "// a; b\n@id(\"x;\\\"y\")\npermit (a);\n\n // c\nforbid (b); ";
        let lines: Vec<usize> = starts(text).unwrap().into_iter().map(|at| line(text, at)).collect();
        assert_eq!(lines, [2, 6]);
        assert!(starts(&"(".repeat(MAX_DEPTH + 1)).is_err());
        assert!(starts(&"a".repeat(MAX_RULE + 1)).is_err());
        assert!(starts(&"a;".repeat(MAX_RULE)).is_ok());
        assert_eq!(starts("\"open").unwrap(), [0]);
    }
}
