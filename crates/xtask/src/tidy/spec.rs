//! Protocol code cites its specification as `Spec n.m`; every number cited must be one of the text's.

use super::File;

pub fn check(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.is_rust()) {
        let protocol = file.path.strip_prefix("crates/mpc/src/").and_then(|rest| rest.split_once('/'));
        let cited: Vec<&str> = file.content.split("Spec ").skip(1).map(number).filter(|n| !n.is_empty()).collect();
        let Some((protocol, _)) = protocol.filter(|_| !cited.is_empty()) else { continue };
        // Sharings by polynomials are shamir's, correlated randomness is beaver's.
        let protocol = match protocol {
            "polynomial" => "shamir",
            "correlations" => "beaver",
            other => other,
        };
        let text = format!("docs/protocols/{}.md", protocol.replace('_', "-"));
        let Some(spec) = files.iter().find(|f| f.path == text) else {
            found.push(format!("{}: cites a specification, but there is no {text}", file.path));
            continue;
        };
        let missing = cited.into_iter().filter(|n| !defines(&spec.content, n));
        found.extend(missing.map(|n| format!("{}: cites Spec {n}, which {text} does not have", file.path)));
    }
    found
}

/// The number at the start of a text, such as `4.2`.
fn number(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

/// A section is a heading, a paragraph of it starts with its number in bold.
fn defines(spec: &str, number: &str) -> bool {
    let (heading, paragraph) = (format!("## {number} "), format!("**{number}"));
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_digit());
    spec.lines().any(|l| l.starts_with(&heading) || l.strip_prefix(&paragraph).is_some_and(ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str) -> File {
        File { path: path.into(), content: content.into() }
    }

    #[test]
    fn citations_must_exist() {
        let spec = file("docs/protocols/rep4.md", "## 4 Products\n**4.2 Local parts.** ..\n**4.11** ..");
        let code = file("crates/mpc/src/rep4/mod.rs", "/// Spec 4 and Spec 4.2.\n// Spec 4.1: x; Spec 5\n");
        let found = check(&[code, spec]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("Spec 4.1,") && found[1].contains("Spec 5,"));
    }

    #[test]
    fn a_specification_must_exist() {
        assert_eq!(check(&[file("crates/mpc/src/rep4/mod.rs", "// Spec 1")]).len(), 1);
        assert_eq!(check(&[file("crates/mpc/src/rep4/mod.rs", "// Specification")]).len(), 0);
    }
}
