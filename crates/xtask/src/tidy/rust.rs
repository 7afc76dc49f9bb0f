//! Rules for Rust sources, read as tokens: neither comments nor strings can set them off, and macros cannot hide from them.

use super::File;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Crates that may say `unsafe`.
const UNSAFE: &[&str] = &["ring", "prim"];
/// Macros that stand for code not written.
const STUBS: &[&str] = &["todo", "unimplemented"];
/// The layer that is generic in the protocol, and the protocols it may not name.
const GENERIC: &str = "crates/nn/src/";
const PROTOCOLS: &[&str] = &["plain", "count", "rep3", "rep4", "gmw", "beaver"];
/// Makes sessions that hide nothing.
const FIXED_KEYS: &str = "with_fixed_keys_for_tests";
const FIXED_KEYS_HOME: &[&str] = &["crates/mpc/src/party.rs", "crates/xtask/src/tidy/rust.rs"];

pub fn check(file: &File) -> Vec<String> {
    let Ok(tokens) = file.content.parse::<TokenStream>() else {
        return vec![format!("{}: is not Rust", file.path)];
    };
    let mut seen = Seen::default();
    seen.walk(tokens, false);
    let fenced = !UNSAFE.contains(&file.crate_name());
    let in_tests = file.path.contains("/tests/") || file.crate_name() == "mpc-test";
    let mut found = Vec::new();
    let mut report = |wrong: bool, rule: &str| {
        if wrong {
            found.push(format!("{}: {rule}", file.path));
        }
    };
    report(fenced && seen.has_unsafe, "only ring and prim may say unsafe; move the code there or use a safe library");
    let must_forbid = fenced && is_crate_root(file) && seen.has_items;
    report(must_forbid && !seen.forbids_unsafe, "add #![forbid(unsafe_code)]");
    report(seen.has_stub, "todo and unimplemented have no place here; write the code or leave it out");
    report(seen.ignores_test, "ignored tests rot; make it quick, or longer only under PRIVITY_HEAVY");
    report(file.path.starts_with(GENERIC) && seen.names_protocol, "nn imports no concrete protocol; be generic");
    let fixed_keys = seen.fixed_keys && !in_tests && !FIXED_KEYS_HOME.contains(&file.path.as_str());
    report(fixed_keys, "sessions with fixed keys hide nothing; only tests may open them");
    found
}

fn is_crate_root(file: &File) -> bool {
    let within = file.path.strip_prefix("crates/").and_then(|rest| rest.split_once('/'));
    matches!(within, Some((_, "src/lib.rs" | "src/main.rs")))
}

/// What the tokens of a file contain. Modules under `#[cfg(test)]` count as tests.
#[derive(Default)]
struct Seen {
    /// Anything but comments and attributes.
    has_items: bool,
    has_unsafe: bool,
    forbids_unsafe: bool,
    has_stub: bool,
    ignores_test: bool,
    names_protocol: bool,
    fixed_keys: bool,
}

impl Seen {
    fn walk(&mut self, tokens: TokenStream, in_test: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut item_is_test = false;
        for (i, token) in tokens.iter().enumerate() {
            let before = |k: usize| i.checked_sub(k).map(|j| tokens[j].to_string()).unwrap_or_default();
            match token {
                TokenTree::Ident(word) => {
                    let word = word.to_string();
                    let called = tokens.get(i + 1).is_some_and(|next| next.to_string() == "!");
                    let in_path = before(1) == ":" && before(2) == ":" && before(3) == "privity_mpc";
                    self.has_items = true;
                    self.has_unsafe |= word == "unsafe";
                    self.has_stub |= STUBS.contains(&word.as_str()) && called;
                    self.names_protocol |= !(in_test || item_is_test) && in_path && PROTOCOLS.contains(&word.as_str());
                    self.fixed_keys |= !(in_test || item_is_test) && word == FIXED_KEYS;
                }
                TokenTree::Group(group) if before(1) == "#" || (before(1) == "!" && before(2) == "#") => {
                    item_is_test |= self.attribute(group);
                }
                TokenTree::Group(group) => {
                    self.in_braces_of_engine(&before, group, in_test || item_is_test);
                    self.walk(group.stream(), in_test || item_is_test);
                    item_is_test &= group.delimiter() != Delimiter::Brace;
                }
                TokenTree::Punct(mark) => item_is_test &= mark.as_char() != ';',
                TokenTree::Literal(_) => {}
            }
        }
    }

    /// Notes what an attribute says; whether it is `cfg(test)`.
    fn attribute(&mut self, attribute: &Group) -> bool {
        let text = attribute.stream().to_string().replace(' ', "");
        self.forbids_unsafe |= text == "forbid(unsafe_code)";
        self.ignores_test |= text == "ignore" || text.starts_with("ignore=");
        self.has_unsafe |= text.starts_with("unsafe(");
        text == "cfg(test)"
    }

    /// `use privity_mpc::{Config, plain::Plain}`: the first word of each entry.
    fn in_braces_of_engine(&mut self, before: &impl Fn(usize) -> String, group: &Group, test: bool) {
        if test || group.delimiter() != Delimiter::Brace || before(3) != "privity_mpc" || before(1) != ":" {
            return;
        }
        let mut starts = true;
        for token in group.stream() {
            self.names_protocol |= starts && PROTOCOLS.contains(&token.to_string().as_str());
            starts = token.to_string() == ",";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, content: &str) -> Vec<String> {
        check(&File { path: path.into(), content: content.into() })
    }

    #[track_caller]
    fn rejected(path: &str, content: &str, rule: &str) {
        let found = problems(path, content);
        assert!(found.len() == 1 && found[0].contains(rule), "{content}: {found:?}");
    }

    #[track_caller]
    fn accepted(path: &str, content: &str) {
        assert_eq!(problems(path, content), Vec::<String>::new(), "{content}");
    }

    const ANY: &str = "crates/net/src/any.rs";

    #[test]
    fn unsafe_stands_in_two_crates() {
        rejected(ANY, "fn f() { unsafe { g() } }", "unsafe");
        rejected(ANY, "macros! { unsafe fn f(); }", "unsafe");
        rejected(ANY, "#[unsafe(no_mangle)] fn f() {}", "unsafe");
        rejected(ANY, "unsafe impl Send for X {}", "unsafe");
        accepted("crates/ring/src/any.rs", "fn f() { unsafe { g() } }");
        accepted(ANY, "/// unsafe\nconst A: &str = \"unsafe { }\"; // unsafe");
    }

    #[test]
    fn roots_forbid_it() {
        rejected("crates/net/src/lib.rs", "pub fn f() {}", "forbid");
        rejected("crates/net/src/lib.rs", "//! #![forbid(unsafe_code)]\nmod a;", "forbid");
        accepted("crates/net/src/lib.rs", "#![forbid(unsafe_code)]");
        accepted("crates/net/src/lib.rs", "//! Nothing yet.");
        accepted("crates/prim/src/lib.rs", "pub fn f() {}");
    }

    #[test]
    fn stubs_and_ignored_tests_are_found() {
        rejected(ANY, "fn f() { todo!() }", "todo");
        rejected(ANY, "fn f() { x(unimplemented!(\"later\")) }", "todo");
        rejected(ANY, "#[test] #[ignore] fn f() {}", "ignored");
        rejected(ANY, "#[ignore = \"slow\"] fn f() {}", "ignored");
        accepted(ANY, "fn f() { let todo = 1; ignore(todo) } // todo!()");
    }

    #[test]
    fn layers_are_generic_in_the_protocol() {
        let layer = "crates/nn/src/layers.rs";
        rejected(layer, "use privity_mpc::rep3::Rep3;", "concrete");
        rejected(layer, "use privity_mpc::{Config, plain::Plain};", "concrete");
        accepted(layer, "use privity_mpc::{Config, ops::plain};");
        accepted(layer, "#[cfg(test)] mod tests { use privity_mpc::plain::Plain; }");
        accepted(layer, "#[cfg(test)] use privity_mpc::{plain::Plain};");
        rejected(layer, "#[cfg(test)] use a::b; use privity_mpc::plain::Plain;", "concrete");
        accepted("crates/nn/tests/training.rs", "use privity_mpc::plain::Plain;");
    }

    #[test]
    fn fixed_keys_stay_in_tests() {
        let call = "fn f() { Party::with_fixed_keys_for_tests(link, 1) }";
        rejected("crates/job/src/run.rs", call, "fixed keys");
        accepted("crates/mpc-test/src/world.rs", call);
        accepted("crates/mpc/tests/rep3.rs", call);
    }
}
