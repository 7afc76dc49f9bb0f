//! What policies say to the facts of a manifest of three banks and a helper.

use privity_api::{Manifest, Member, Project, Time};
use privity_policy::{Budget, Facts, Outcome, Policy, PolicyError, Price, diff, explain, work};
use proptest::prelude::*;

const NOW: Time = 1_780_000_000;

fn manifest() -> Manifest {
    Manifest::from_json(include_bytes!("../../../fuzz/corpus/manifest/small")).expect("a manifest")
}

fn facts_of(manifest: &Manifest, own: &str) -> Facts {
    let job = manifest.check(NOW).expect("valid");
    Facts::new(manifest, &job, own, NOW, true)
}

fn facts() -> Facts {
    facts_of(&manifest(), "bank-b")
}

fn with(alter: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = facts();
    alter(&mut facts);
    facts
}

fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn names(names: &[&str]) -> std::collections::BTreeSet<String> {
    names.iter().map(|n| n.to_string()).collect()
}

/// The policy of a bank: what docs/POLICY.md shows.
const BANK: &str = include_str!("bank-b.cedar");

#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    Allow(&'a [&'a str]),
    Deny(&'a [&'a str]),
    People(u32, &'a [&'a str]),
}

fn says(outcome: &Outcome, said: &Said) -> bool {
    let same = |rules: &[String], names: &[&str]| rules.iter().eq(names.iter());
    match (outcome, said) {
        (Outcome::Allow { rules }, Said::Allow(names)) => same(rules, names),
        (Outcome::Deny { rules, .. }, Said::Deny(names)) => same(rules, names),
        (Outcome::People { approvers, rules }, Said::People(n, names)) => approvers == n && same(rules, names),
        _ => false,
    }
}

/// A job under which nothing goes to others.
fn shared_only(facts: &mut Facts) {
    facts.model_to.clear();
    facts.metrics_to.clear();
}

#[test]
fn a_table_of_decisions() {
    use Said::{Allow, Deny, People};
    let bank = policy(BANK);
    let table: &[(&str, fn(&mut Facts), Said)] = &[
        ("a model that stays in shares", shared_only, Allow(&["shared-only"])),
        ("a model that goes to others", |_| (), People(2, &["released"])),
        (
            "figures to this bank alone",
            |f| (shared_only(f), f.metrics_to = names(&["bank-b"])).0,
            People(1, &["own-figures"]),
        ),
        ("another project", |f| f.project = "other".into(), Deny(&[])),
        ("another submitter", |f| f.submitter = "bank-c".into(), Deny(&[])),
        ("the helper submits", |f| f.submitter = "helper".into(), Deny(&[])),
        ("a passive protocol", |f| f.adversary = "passive".into(), Deny(&["passive"])),
        ("no party may be corrupt", |f| f.threshold = 0, Deny(&["passive"])),
        (
            "a column out of the purpose",
            |f| {
                f.columns.insert("iban_hash".into());
            },
            Deny(&["columns"]),
        ),
        (
            "two reasons to deny",
            |f| {
                f.adversary = "passive".into();
                f.columns.insert("iban_hash".into());
            },
            Deny(&["passive", "columns"]),
        ),
        ("another program", |f| f.build = "00".repeat(32), Deny(&["programs"])),
        ("too few rows", |f| f.min_cohort = 199, Deny(&["cohort"])),
        ("just enough rows", |f| f.min_cohort = 200, People(2, &["released"])),
        ("too much of the budget", |f| f.epsilon_milli = 3001, Deny(&["epsilon"])),
        ("all of the budget", |f| f.epsilon_milli = 3000, People(2, &["released"])),
        ("more than a number holds", |f| f.epsilon_milli = u64::MAX, Deny(&["epsilon"])),
        ("answers without privacy", |f| f.distillation = "unprotected".into(), Deny(&["unprotected"])),
        ("noisy answers", |f| f.distillation = "voting".into(), People(2, &["released"])),
        ("goes on with passive security", |f| f.on_loss = "continue".into(), Deny(&["after-loss"])),
        (
            "a recipient from outside",
            |f| {
                f.recipients.insert("helper".into());
            },
            Deny(&["recipients"]),
        ),
        (
            "an unknown participant",
            |f| {
                f.participants.insert("bank-d".into());
            },
            Deny(&["participants"]),
        ),
        ("another table", |f| f.own_table = "salaries".into(), Deny(&["table"])),
        ("seen before", |f| f.first_time = false, People(2, &["released"])),
        ("seen before, in shares", |f| (shared_only(f), f.first_time = false).0, Allow(&["shared-only"])),
        ("keys in escrow at one", |f| f.escrow = 1, Deny(&["escrow"])),
        ("too many attempts", |f| f.attempts = 11, Deny(&["attempts"])),
    ];
    assert!(table.len() >= 20);
    for (name, alter, said) in table {
        let outcome = bank.decide(&with(alter));
        assert!(says(&outcome, said), "{name}: {outcome:?}, not {said:?}");
    }
}

#[test]
fn reasons_are_those_of_the_rules_that_decided() {
    let bank = policy(BANK);
    let Outcome::Deny { reason, .. } = bank.decide(&with(|f| f.adversary = "passive".into())) else { panic!() };
    assert_eq!(reason, "one bank must not be able to cheat");
    let Outcome::Deny { reason, rules } = bank.decide(&with(|f| f.project = "other".into())) else { panic!() };
    assert_eq!((reason.as_str(), rules.len()), ("no rule of the policy permits it", 0));
    let silent = policy("@id(\"never\") forbid (principal, action, resource);");
    assert!(matches!(silent.decide(&facts()), Outcome::Deny { reason, .. } if reason == "rule never forbids it"));
    let rule = bank.rule("released").expect("there");
    assert_eq!((rule.approvers, rule.permits), (2, true));
    assert_eq!(bank.rules().iter().map(|r| r.line).max(), bank.rules().last().map(|r| r.line));
}

#[test]
fn without_a_policy_people_decide() {
    let people = Policy::people();
    let one = |f: Facts| people.decide(&f);
    assert!(says(&one(with(shared_only)), &Said::People(1, &["people-decide"])));
    assert!(says(&one(facts()), &Said::People(2, &["people-decide", "others-learn"])));
    let own = with(|f| (f.model_to, f.metrics_to) = (names(&["bank-b"]), names(&["bank-b"])));
    assert!(says(&one(own), &Said::People(1, &["people-decide"])), "only this bank learns");
    let published = with(|f| (shared_only(f), f.distillation = "voting".into()).0);
    assert!(says(&one(published), &Said::People(2, &["people-decide", "others-learn"])));
    assert_eq!(people.digest(), privity_api::sha256(privity_policy::DEFAULT.as_bytes()));
}

#[test]
fn of_rules_that_permit_the_strictest_counts() {
    let text = |a: &str, b: &str| {
        format!(
            "@id(\"a\") {a} permit (principal, action, resource);\n@id(\"b\") {b} permit (principal, action, resource);"
        )
    };
    let decide = |a, b| policy(&text(a, b)).decide(&facts());
    assert!(says(&decide("", ""), &Said::Allow(&["a", "b"])));
    assert!(says(&decide("", "@approvers(\"1\")"), &Said::People(1, &["a", "b"])));
    assert!(says(&decide("@approvers(\"3\")", "@approvers(\"2\")"), &Said::People(3, &["a", "b"])));
}

#[test]
fn a_rule_that_cannot_be_evaluated_denies_and_is_named() {
    let overflow = "context.total_rows * 9223372036854775807 > 1";
    for effect in ["permit", "forbid"] {
        let text = format!(
            "@id(\"all\") permit (principal, action, resource);\n\
             @id(\"broken\") {effect} (principal, action, resource) when {{ {overflow} }};"
        );
        let Outcome::Deny { rules, reason } = policy(&text).decide(&facts()) else { panic!("{effect}") };
        assert_eq!(rules, ["broken"]);
        assert!(reason.contains("rule broken cannot be evaluated") && reason.contains("overflow"), "{reason}");
    }
}

/// For each fact a condition that holds of the manifest, and an alteration under which it does not.
#[test]
fn every_fact_can_be_used_by_a_rule() {
    let table: &[(&str, fn(&mut Facts))] = &[
        ("principal == Organisation::\"bank-a\"", |f| f.submitter = "bank-c".into()),
        ("resource == Job::\"00112233445566778899aabbccddeeff\"", |f| f.id = "f".repeat(32)),
        ("context.own == \"bank-b\"", |f| f.own = "bank-c".into()),
        ("context.project == \"fraud-2026\"", |f| f.project.push('7')),
        ("context.purpose like \"*scores card payments*\"", |f| f.purpose = "other".into()),
        ("[\"alice\", \"bob\"].contains(context.person)", |f| f.person = "mallory".into()),
        ("context.build like \"5d5d*\"", |f| f.build = "00".into()),
        ("context.first_time", |f| f.first_time = false),
        ("context.attempts <= 3", |f| f.attempts = 4),
        ("context.expires_in_hours <= 24", |f| f.expires_in_hours = 25),
        ("context.protocol == \"rep4\"", |f| f.protocol = "rep3".into()),
        ("context.adversary == \"active\"", |f| f.adversary = "passive".into()),
        ("context.threshold >= 1", |f| f.threshold = 0),
        ("context.on_loss == \"pause\"", |f| f.on_loss = "continue".into()),
        ("context.escrow == 0", |f| f.escrow = 2),
        ("context.participants.containsAll([\"bank-c\", \"helper\"])", |f| {
            f.participants.remove("bank-c");
        }),
        ("context.helpers == [\"helper\"]", |f| f.helpers.clear()),
        ("context.owners == 3", |f| {
            f.helpers.insert("bank-c".into());
        }),
        ("!context.distinct_operators", |f| f.distinct_operators = true),
        ("!context.columns.contains(\"iban\")", |f| {
            f.columns.insert("iban".into());
        }),
        ("context.numbers == [\"amount\"]", |f| f.numbers.clear()),
        ("context.categories == [\"channel\"]", |f| f.categories.clear()),
        ("context.days == [\"day\"]", |f| f.days.clear()),
        ("context.persons == [\"customer\"]", |f| f.persons.clear()),
        ("context.label == \"fraud\"", |f| f.label.clear()),
        ("context.own_table == \"payments\"", |f| f.own_table.clear()),
        ("context.own_rows == 400", |f| f.own_rows = 401),
        ("context.total_rows == 1200", |f| f.total_rows = 1),
        ("context.model == \"mlp\"", |f| f.model = "linear".into()),
        ("context.epochs <= 3", |f| f.epochs = 4),
        ("context.output == \"\"", |f| f.output = "class".into()),
        ("context.model_owner == \"\"", |f| f.model_owner = "bank-b".into()),
        ("context.model_name == \"\"", |f| f.model_name = "fraud-net".into()),
        ("context.models < 2", |f| f.models = 2),
        ("context.scored_before < 1000", |f| f.scored_before = 1000),
        ("!context.goes_on", |f| f.goes_on = true),
        ("!context.keeps", |f| f.keeps = true),
        ("context.model_opened", |f| f.model_to.clear()),
        ("context.model_to == [\"bank-a\"]", |f| f.model_to.clear()),
        ("context.metrics_to.containsAny([\"bank-c\"])", |f| {
            f.metrics_to.remove("bank-c");
        }),
        ("!context.predictions_to.contains(\"helper\")", |f| {
            f.predictions_to.insert("helper".into());
        }),
        ("!context.recipients.isEmpty()", |f| f.recipients.clear()),
        ("context.distillation == \"none\"", |f| f.distillation = "voting".into()),
        ("context.min_cohort >= 200", |f| f.min_cohort = 199),
        ("context.epsilon_milli < 1", |f| f.epsilon_milli = 1),
    ];
    let schema = include_str!("../src/schema.cedarschema");
    let declared = schema.lines().filter(|line| line.starts_with("    ") && line.contains(':')).count();
    assert_eq!(table.len(), declared + 2, "every fact of the schema, the principal and the resource");
    for (condition, alter) in table {
        let rule = policy(&format!("@id(\"x\") permit (principal, action, resource) when {{ {condition} }};"));
        assert!(says(&rule.decide(&facts()), &Said::Allow(&["x"])), "{condition}");
        assert!(says(&rule.decide(&with(alter)), &Said::Deny(&[])), "{condition}, altered");
    }
}

/// Rows of bank-a and bank-c, a model of bank-b.
fn scoring() -> Manifest {
    Manifest::from_json(include_bytes!("../../../fuzz/corpus/manifest/scores")).expect("a manifest")
}

#[test]
fn what_is_allowed_of_jobs_that_train_says_nothing_of_jobs_that_score() {
    let scores = facts_of(&scoring(), "bank-b");
    let permit = |action: &str, when: &str| {
        policy(&format!("@id(\"x\") permit (principal, {action}, resource) when {{ {when} }};"))
    };
    let (run, score) = ("action == Action::\"run\"", "action == Action::\"score\"");
    let allowed = |action, facts: &Facts| says(&permit(action, "true").decide(facts), &Said::Allow(&["x"]));
    assert!(allowed(run, &facts()) && !allowed(run, &scores));
    assert!(allowed(score, &scores) && !allowed(score, &facts()));
    assert!(allowed("action", &facts()), "whoever left the action open meant training");
    let Outcome::Deny { rules, reason } = permit("action", "true").decide(&scores) else { panic!("not denied") };
    assert!(rules.is_empty() && reason.contains("names Action::\"score\""), "{reason}");
    assert!(says(&permit("action", "action == Action::\"score\"").decide(&scores), &Said::Deny(&[])), "no scope");
    let both = "action in [Action::\"run\", Action::\"score\"]";
    assert!(allowed(both, &facts()) && allowed(both, &scores));
    assert!(allowed("action in [Action::\"score\"]", &scores) && !allowed("action in [Action::\"run\"]", &scores));
    assert!(says(&policy(BANK).decide(&scores), &Said::Deny(&[])), "a policy that speaks of training only");
    let holds = [
        "context.output == \"prediction\"",
        "context.model_owner == context.own && context.model_name == \"fraud-net\"",
        "context.models == 1 && context.epochs == 0 && context.min_cohort == 0",
        "context.total_rows * context.attempts + context.scored_before <= 3600",
        "context.predictions_to == [\"bank-a\", \"bank-c\"] && context.helpers == [\"helper\"]",
        "!context.model_opened && context.metrics_to.isEmpty() && context.own_table == \"\" && context.own_rows == 0",
        "context.recipients == [\"bank-a\", \"bank-c\"]",
    ];
    for when in holds {
        assert!(says(&permit(score, when).decide(&scores), &Said::Allow(&["x"])), "{when}");
    }
    // What forbids with an open action holds for both, and an open permit beside a named one adds nothing.
    let rules = policy(
        "@id(\"open\") @approvers(\"9\") permit (principal, action, resource);\n\
         @id(\"named\") permit (principal, action == Action::\"score\", resource);\n\
         @id(\"few\") forbid (principal, action, resource) when { context.total_rows > 1000 };",
    );
    assert!(says(&rules.decide(&scores), &Said::Allow(&["named"])));
    let many = Facts { total_rows: 1001, ..scores.clone() };
    assert!(says(&rules.decide(&many), &Said::Deny(&["few"])));
    assert!(says(&rules.decide(&with(|f| f.total_rows = 1001)), &Said::Deny(&["few"])));
    let more = scores.clone().scored_before(3601 - 3 * 600);
    assert!(says(&permit(score, holds[3]).decide(&more), &Said::Deny(&[])), "one row too many");
}

#[test]
fn without_a_policy_two_persons_decide_on_their_own_model_and_one_on_its_own_rows() {
    let decide = |own| Policy::people().decide(&facts_of(&scoring(), own));
    assert!(says(&decide("bank-b"), &Said::People(2, &["people-decide", "own-model"])));
    for own in ["bank-a", "bank-c", "helper"] {
        assert!(says(&decide(own), &Said::People(1, &["people-decide"])), "{own}");
    }
}

#[test]
fn people_read_whose_rows_are_scored_with_whose_model_and_who_learns_what() {
    let text = explain(&facts_of(&scoring(), "bank-b"));
    let of = |label: &str| text.iter().find(|(l, _)| *l == label).map(|(_, t)| t.as_str()).expect(label);
    assert_eq!(
        of("what runs"),
        "`fraud`: scores rows of bank-a, bank-c with model `fraud-net` of bank-b (a neural network); each of bank-a, bank-c learns \
         the prediction of its own rows; bank-b learns no row and no result; nothing is trained"
    );
    assert_eq!(of("own model"), "fraud-net: 600 rows in each of 3 attempts at most; results tell of the model");
    assert_eq!(of("results go to"), "bank-a, bank-c, each those of its own rows");
    assert_eq!((of("model goes to"), of("own data")), ("nobody", "none"));
    assert!(
        of("all that is opened").contains("scores of own rows (1 x 400 values to bank-a)"),
        "{}",
        of("all that is opened")
    );
    let mut other = scoring();
    other.models[0].model = "fraud-net-2".into();
    let (before, after) = (facts_of(&scoring(), "bank-a"), facts_of(&other, "bank-a"));
    let labels: Vec<&str> = diff(&before, &after).iter().map(|change| change.label).collect();
    assert_eq!(labels, ["what runs"]);
    assert_ne!(work(&scoring()).unwrap(), work(&other).unwrap());
    let trains = diff(&facts_of(&manifest(), "bank-a"), &before);
    assert!(
        trains.iter().any(|change| change.label == "what runs" && change.after.contains("scores rows")),
        "{trains:?}"
    );
}

#[test]
fn what_is_no_policy_is_refused_at_its_line() {
    let all = "permit (principal, action, resource)";
    let rule = |annotations: &str, when: &str| format!("// first\n\n{annotations}\n{all} when {{ {when} }};");
    let named = |when: &str| rule("@id(\"x\")", when);
    let bad: Vec<(&str, String, &str)> = vec![
        ("nothing", String::new(), "no rule"),
        ("comments only", "// nothing\n".into(), "no rule"),
        ("no Cedar", "allow everything".into(), "line 1"),
        ("an end missing", format!("\n@id(\"x\") {all}"), "line 2"),
        ("a fact that there is none of", named("context.colour == \"red\""), "line 4"),
        ("a misspelt fact", named("context.min_cohrt > 1"), "min_cohort"),
        ("a number compared with a text", named("context.threshold == \"1\""), "line"),
        ("a text compared with a number", named("context.project < 3"), "line 4"),
        ("a set taken for a text", named("context.columns like \"a*\""), "line 4"),
        ("a broken number", named("context.epsilon_milli < 0.5"), "line 4"),
        ("an entity that there is none of", named("principal == User::\"alice\""), "line 4"),
        (
            "an action that there is none of",
            "@id(\"x\") permit (principal, action == Action::\"read\", resource);".into(),
            "line 1",
        ),
        ("a rule that never applies", named("false"), "line"),
        ("a rule that contradicts itself", named("context.first_time && !context.first_time && false"), "line"),
        ("a template", "@id(\"x\") permit (principal == ?principal, action, resource);".into(), "?principal"),
        ("no name", rule("", "true"), "line 4: @id is ``"),
        ("a name with blanks", rule("@id(\"a b\")", "true"), "line 3: @id is"),
        ("a name twice", format!("@id(\"x\") {all};\n@id(\"x\") {all};"), "line 2: a second rule"),
        ("an annotation that is misspelt", rule("@id(\"x\") @approver(\"2\")", "true"), "@approver is no annotation"),
        ("no approvers", rule("@id(\"x\") @approvers(\"0\")", "true"), "@approvers is `0`"),
        ("approvers in words", rule("@id(\"x\") @approvers(\"two\")", "true"), "@approvers is `two`"),
        ("approvers with a sign", rule("@id(\"x\") @approvers(\"+2\")", "true"), "@approvers is `+2`"),
        ("negative approvers", rule("@id(\"x\") @approvers(\"-1\")", "true"), "@approvers is `-1`"),
        ("too many approvers", rule("@id(\"x\") @approvers(\"17\")", "true"), "@approvers is `17`"),
        ("approvers without a number", rule("@id(\"x\") @approvers", "true"), "@approvers is ``"),
        (
            "approvers of what is forbidden",
            "@id(\"x\") @approvers(\"2\") forbid (principal, action, resource);".into(),
            "forbids asks for approvers",
        ),
        ("a reason of two lines", rule("@id(\"x\") @reason(\"a\\nb\")", "true"), "@reason"),
        ("a reason too long", rule(&format!("@id(\"x\") @reason(\"{}\")", "a".repeat(501)), "true"), "@reason"),
        (
            "a rule too long",
            named(&vec!["context.first_time"; 300].join(" && ")),
            "line 3: the rule has more than 4096",
        ),
        ("too deep", named(&format!("{}true{}", "(".repeat(40), ")".repeat(40))), "more than 32 deep"),
        ("too many choices", named(&format!("{} true", "if context.first_time then true else ".repeat(33))), "`else`"),
        ("too many rules", (0..257).map(|i| format!("@id(\"r{i}\") {all};\n")).collect(), "257 rules"),
        ("too long", "/".repeat(1 << 17), "bytes, more than"),
    ];
    for (name, text, words) in bad {
        let error = Policy::parse(&text).expect_err(name).to_string();
        assert!(error.contains(words), "{name}: `{error}` does not say `{words}`");
        assert!(error.contains(';'), "{name}: {error} has no remedy");
    }
    let most: String = (0..200).map(|i| format!("@id(\"r{i}\") {all};\n")).collect();
    assert_eq!(policy(&most).rules().len(), 200);
    assert!(matches!(Policy::parse(""), Err(PolicyError::Empty)));
}

/// Cedar's parser and evaluator recurse: the deepest rules that are let through must fit the stack of a thread.
#[test]
fn rules_that_nest_as_deep_as_they_can_return() {
    let rule = |when: String| format!("@id(\"x\") permit (principal, action, resource) when {{ {when} }};");
    let deepest = policy(&rule(vec!["true"; 660].join("&&")));
    assert!(says(&deepest.decide(&facts()), &Said::Allow(&["x"])));
    let sum = policy(&rule(format!("{} > 0", vec!["1"; 1900].join("+"))));
    assert!(!matches!(sum.decide(&facts()), Outcome::People { .. }));
    let chains = [
        format!("context{}", ".a".repeat(1900)),
        format!("context{}", ".contains(1)".repeat(300)),
        format!("context{}", "[\"a\"]".repeat(700)),
        format!("{}true", "!".repeat(3900)),
        format!("{}1 > 0", "-".repeat(3900)),
        format!("{}a", "a::".repeat(1300)),
        format!("{}true", "true||".repeat(600)),
        format!("{}true{}", "(".repeat(31), ")".repeat(31)),
        format!("{}true", "if context.first_time then true else ".repeat(32)),
        format!("{}true{}", "if true then ".repeat(150), " else true".repeat(32)),
        format!("{}1", "1==".repeat(1300)),
        format!("{}context.own", "context has ".repeat(300)),
        format!("{}1 > 0", "1*".repeat(1900)),
    ];
    for when in chains {
        if let Ok(policy) = Policy::parse(&rule(when)) {
            policy.decide(&facts());
        }
    }
}

#[test]
fn the_facts_are_those_of_the_manifest() {
    let f = facts();
    assert_eq!((f.submitter.as_str(), f.own.as_str(), f.protocol.as_str()), ("bank-a", "bank-b", "rep4"));
    assert_eq!((f.threshold, f.own_rows, f.total_rows, f.expires_in_hours), (1, 400, 1200, 24));
    assert_eq!(f.columns, names(&["amount", "channel", "customer", "day", "fraud"]));
    assert_eq!(f.predictions_to, names(&["bank-a", "bank-b", "bank-c"]));
    assert_eq!((f.model_to, f.helpers), (names(&["bank-a"]), names(&["helper"])));
    let helper = facts_of(&manifest(), "helper");
    assert_eq!((helper.own_rows, helper.own_table.as_str()), (0, ""));
    let late = manifest();
    let job = late.check(NOW).unwrap();
    assert_eq!(Facts::new(&late, &job, "bank-b", late.expires - 1, true).expires_in_hours, 1, "rounded up");
    assert!(!Facts::new(&late, &job, "bank-b", late.expires + 7200, false).first_time);
    let mut shamir = manifest();
    (shamir.job.protocol, shamir.job.threshold) = ("shamir".into(), Some(1));
    let shamir = facts_of(&shamir, "bank-b");
    assert_eq!((shamir.adversary.as_str(), shamir.threshold), ("passive", 1));
}

#[test]
fn operators_are_different_if_every_participant_is_a_member_with_its_own() {
    let among = |operators: &[(&str, &str)]| {
        let member = |(organisation, operator): &(&str, &str)| Member {
            organisation: organisation.to_string(),
            operator: operator.to_string(),
            root: "0".repeat(64),
            address: String::new(),
            helper: false,
        };
        let project = Project {
            name: "fraud-2026".into(),
            founder: "bank-a".into(),
            version: 1,
            members: operators.iter().map(member).collect(),
        };
        facts().among(&project).distinct_operators
    };
    let four = [("bank-a", "a"), ("bank-b", "b"), ("bank-c", "c"), ("helper", "h")];
    assert!(among(&four));
    assert!(among(&[&four[..], &[("other", "a")]].concat()), "who takes no part does not count");
    assert!(!among(&four[..3]), "the helper is no member");
    assert!(!among(&[&four[..3], &[("helper", "a")]].concat()), "bank-a's operator runs the helper");
    assert!(!among(&[]) && !facts().distinct_operators);
}

#[test]
fn the_same_work_is_known_again() {
    let first = work(&manifest()).unwrap();
    let mut again = manifest();
    (again.id, again.person, again.attempts) = ("f".repeat(32), "bob".into(), 9);
    again.created += 5;
    again.expires += 5;
    again.release.until += 9;
    again.datasets.reverse();
    again.release.recipients.reverse();
    assert_eq!(work(&again).unwrap(), first);
    let alterations: [fn(&mut Manifest); 8] = [
        |m| m.purpose.push('.'),
        |m| m.project.push('7'),
        |m| m.submitter = "bank-b".into(),
        |m| m.build = "00".into(),
        |m| m.datasets[0].table = "other".into(),
        |m| m.release.min_cohort += 1,
        |m| m.release.epsilon_milli += 1,
        |m| m.job.training.epochs += 1,
    ];
    for (i, alter) in alterations.into_iter().enumerate() {
        let mut other = manifest();
        alter(&mut other);
        assert_ne!(work(&other).unwrap(), first, "alteration {i}");
    }
}

#[test]
fn people_read_who_runs_what_on_what_and_who_learns() {
    let mut f = facts();
    f.price = Some(Price { bytes: 38_000_000, rounds: 2310, seconds: 40.2 });
    let text = explain(&f);
    let of = |label: &str| text.iter().find(|(l, _)| *l == label).map(|(_, t)| t.as_str()).expect(label);
    assert_eq!(of("submitted by"), "bank-a (alice)");
    assert_eq!(of("model goes to"), "bank-a");
    assert_eq!(of("joint figures go to"), "bank-a, bank-b, bank-c");
    assert_eq!(of("own data"), "table payments, 400 rows");
    assert_eq!(of("columns"), "numbers: amount; categories: channel; days: day; persons: customer");
    assert_eq!(of("price"), "38.0 MB of all parties, 2310 rounds, about 40 s");
    assert!(of("threat model").contains("two parties that collude are not covered"));
    assert!(of("protection").contains("one party that deviates"));
    assert!(of("all that is opened").contains("the model's weights (1 x "));
    assert_eq!(of("takes of the privacy budget"), "nothing");
    let labels: std::collections::BTreeSet<_> = text.iter().map(|(label, _)| *label).collect();
    assert_eq!(labels.len(), text.len(), "every label once");
    f.purpose = "a\u{1b}[2Jb\u{202e}".into();
    assert!(explain(&f).iter().all(|(_, t)| !t.contains(['\u{1b}', '\u{202e}'])));
}

#[test]
fn a_difference_is_named_with_what_was_and_what_is() {
    assert_eq!(diff(&facts(), &with(|f| (f.first_time, f.expires_in_hours) = (false, 3))), []);
    let mut later = manifest();
    later.job.outputs.model = vec!["bank-c".into()];
    later.job.training.epochs = 7;
    let changes = diff(&facts(), &facts_of(&later, "bank-b"));
    let labels: Vec<&str> = changes.iter().map(|c| c.label).collect();
    assert_eq!(labels, ["what runs", "model goes to", "all that is opened"]);
    assert_eq!((changes[1].before.as_str(), changes[1].after.as_str()), ("bank-a", "bank-c"));
    let column = diff(
        &facts(),
        &with(|f| {
            f.numbers.insert("iban_hash".into());
        }),
    );
    assert_eq!(column[0].after, "numbers: amount, iban_hash; categories: channel; days: day; persons: customer");
}

#[test]
fn policy_and_budget_go_together() {
    let budget = Budget::from_toml("epsilon_milli_total = 3000\nperiod_days = 90").unwrap();
    let facts = with(|f| f.epsilon_milli = 2000);
    assert!(budget.admit(&[], NOW, facts.epsilon_milli).is_ok());
    let taken = [privity_policy::Spending { at: NOW, epsilon_milli: facts.epsilon_milli }];
    assert!(budget.admit(&taken, NOW + 1, facts.epsilon_milli).is_err());
    assert!(budget.admit(&taken, NOW + 90 * 86_400, facts.epsilon_milli).is_ok());
}

const CONDITIONS: [&str; 6] = [
    "context.first_time",
    "context.model_opened",
    "context.threshold > 0",
    "context.columns.contains(\"iban\")",
    "context.total_rows * 9223372036854775807 > 1",
    "principal == Organisation::\"bank-a\"",
];

fn rules() -> impl Strategy<Value = String> {
    let rule = (any::<bool>(), 0u32..3, 0..CONDITIONS.len(), any::<bool>());
    proptest::collection::vec(rule, 1..5).prop_map(|rules| {
        let text = |(i, (permit, people, condition, when)): (usize, (bool, u32, usize, bool))| {
            let effect = if permit { "permit" } else { "forbid" };
            let approvers = if permit && people > 0 { format!("@approvers(\"{people}\")") } else { String::new() };
            let clause = if when { "when" } else { "unless" };
            let condition = CONDITIONS[condition];
            format!("@id(\"r{i}\") {approvers} {effect} (principal, action, resource) {clause} {{ {condition} }};\n")
        };
        rules.into_iter().enumerate().map(text).collect()
    })
}

proptest! {
    #[test]
    fn adding_a_rule_that_forbids_never_lets_more_run(
        text in rules(), condition in 0..CONDITIONS.len(), first in any::<bool>(), opened in any::<bool>(),
    ) {
        let facts = with(|f| {
            f.first_time = first;
            if !opened { f.model_to.clear(); }
        });
        let forbid = format!("@id(\"more\") forbid (principal, action, resource) when {{ {} }};", CONDITIONS[condition]);
        let before = policy(&text).decide(&facts);
        let after = policy(&format!("{text}{forbid}")).decide(&facts);
        let ahead = policy(&format!("{forbid}{text}")).decide(&facts);
        prop_assert!(matches!(after, Outcome::Deny { .. }) || after == before, "{before:?} {after:?}");
        prop_assert_eq!(matches!(after, Outcome::Deny { .. }), matches!(ahead, Outcome::Deny { .. }));
    }
}
