//! The rules themselves.

use crate::Facts;
use crate::statements::{self, line};
use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Effect, Entities, EntityId, EntityTypeName, EntityUid, PolicySet,
    Request, Schema, ValidationMode, Validator,
};
use miette::Diagnostic;
use privity_api::{is_name, sha256, steers};
use serde::Serialize;
use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::LazyLock;

/// Longest text of a policy, bytes.
pub const MAX_TEXT: usize = 1 << 16;
/// Most rules of a policy.
pub const MAX_RULES: usize = 256;
/// Most people that a rule may ask for.
pub const MAX_APPROVERS: u32 = 16;
/// The action of jobs that score.
const SCORE: &str = "score";
/// Longest reason of a rule, bytes.
const MAX_REASON: usize = 500;
/// What holds where an organisation has no policy: people decide.
pub const DEFAULT: &str = include_str!("default.cedar");

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let (schema, _) = Schema::from_cedarschema_str(include_str!("schema.cedarschema")).expect("the schema is Cedar");
    schema
});

/// A checked policy.
#[derive(Clone, Debug)]
pub struct Policy {
    set: PolicySet,
    /// Those of them that count for jobs that score.
    scoring: PolicySet,
    rules: Vec<Rule>,
    digest: String,
}

/// A rule as its author named it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its name: `@id`.
    pub name: String,
    /// Why it is there: `@reason`; may be empty.
    pub reason: String,
    /// Whether it permits; else it forbids.
    pub permits: bool,
    /// How many people must approve what it permits: `@approvers`; 0: none.
    pub approvers: u32,
    /// Line on which it begins, from 1.
    pub line: usize,
}

/// What a policy says to a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Approve, without asking people.
    Allow {
        /// Names of the rules that say so.
        rules: Vec<String>,
    },
    /// Deny, without asking people.
    Deny {
        /// Names of the rules that say so; none if no rule speaks for the manifest.
        rules: Vec<String>,
        /// Why, in words.
        reason: String,
    },
    /// Approve if so many different persons do.
    People {
        /// How many, at least 1.
        approvers: u32,
        /// Names of the rules that say so.
        rules: Vec<String>,
    },
}

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// More than [`MAX_TEXT`].
    #[error("policy: {bytes} bytes, more than {MAX_TEXT}; remove rules")]
    Long {
        /// Its length.
        bytes: usize,
    },
    /// More than [`MAX_RULES`].
    #[error("policy: {rules} rules, more than {MAX_RULES}; join some of them")]
    Many {
        /// How many.
        rules: usize,
    },
    /// No rule at all.
    #[error(
        "policy: it has no rule, and would deny everything; write one, or forbid (principal, action, resource) if that is meant"
    )]
    Empty,
    /// Something at a line.
    #[error("policy, line {line}: {problem}; {remedy}")]
    At {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl Policy {
    /// Reads a policy and checks every rule against the schema of facts.
    ///
    /// # Errors
    /// Too long; not Cedar; a fact that there is none of, or of another type; a rule that can never apply; a template; a rule without `@id`, two of one name;
    /// an annotation that is unknown or makes no sense.
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        if text.len() > MAX_TEXT {
            return Err(PolicyError::Long { bytes: text.len() });
        }
        let starts = statements::starts(text)?;
        match starts.len() {
            0 => return Err(PolicyError::Empty),
            rules if rules > MAX_RULES => return Err(PolicyError::Many { rules }),
            _ => {}
        }
        let set = PolicySet::from_str(text).map_err(|errors| {
            let error = errors.iter().next().expect("a refused text has an error");
            at(text, error, &starts, None, "correct the rule; docs/POLICY.md has examples")
        })?;
        if let Some(template) = set.templates().next() {
            let line = line(text, starts.get(index(template.id().as_ref())).copied().unwrap_or(0));
            let problem = "the rule leaves ?principal or ?resource open".into();
            return Err(PolicyError::At { line, problem, remedy: "name the organisation" });
        }
        let rules = rules(text, &set, &starts)?;
        validate(text, &set, &starts)?;
        Ok(Policy { scoring: scoring(&set), set, rules, digest: sha256(text.as_bytes()) })
    }

    /// The policy of an organisation that has none: [`DEFAULT`].
    pub fn people() -> Policy {
        Policy::parse(DEFAULT).expect("the default policy is one")
    }

    /// SHA-256 of its text, hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }
    /// Its rules, in the order of the text.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
    /// The rule of this name.
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// What the policy says to a manifest. Denied is what a rule forbids, what no rule permits, and everything as long as a rule cannot be evaluated. Of
    /// several rules that permit, the one that asks for most people counts. A job that scores is permitted only by rules whose scope names that action.
    pub fn decide(&self, facts: &Facts) -> Outcome {
        let request = match request(facts) {
            Ok(request) => request,
            Err(problem) => {
                let reason = format!("the facts of the manifest cannot be given to the policy: {problem}");
                return Outcome::Deny { rules: Vec::new(), reason };
            }
        };
        let set = if facts.scores() { &self.scoring } else { &self.set };
        let response = Authorizer::new().is_authorized(&request, set, &Entities::empty());
        let errors: Vec<_> = response.diagnostics().errors().collect();
        if !errors.is_empty() {
            return self.erred(&errors);
        }
        let spoke = self.named(response.diagnostics().reason().map(AsRef::as_ref));
        let rules = spoke.iter().map(|rule| rule.name.clone()).collect();
        let approvers = spoke.iter().map(|rule| rule.approvers).max();
        match (response.decision(), approvers) {
            (Decision::Deny, _) | (_, None) => Outcome::Deny { rules, reason: why_denied(&spoke, facts.scores()) },
            (Decision::Allow, Some(0)) => Outcome::Allow { rules },
            (Decision::Allow, Some(approvers)) => Outcome::People { approvers, rules },
        }
    }

    fn erred(&self, errors: &[&cedar_policy::AuthorizationError]) -> Outcome {
        let cedar_policy::AuthorizationError::PolicyEvaluationError(first) = errors[0];
        let ids = errors.iter().map(|error| {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            error.policy_id().as_ref()
        });
        let rules: Vec<String> = self.named(ids).iter().map(|rule| rule.name.clone()).collect();
        let reason = format!("rule {} cannot be evaluated: {}", rules.join(", "), first.inner());
        Outcome::Deny { rules, reason }
    }

    /// Rules by the names that Cedar gave them, in the order of the text.
    fn named<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Vec<&Rule> {
        let places: BTreeSet<usize> = ids.map(index).collect();
        places.into_iter().filter_map(|place| self.rules.get(place)).collect()
    }
}

fn why_denied(spoke: &[&Rule], scores: bool) -> String {
    let reason = |rule: &&Rule| match rule.reason.is_empty() {
        true => format!("rule {} forbids it", rule.name),
        false => rule.reason.clone(),
    };
    match spoke.is_empty() {
        true if scores => {
            "no rule of the policy permits it: one that permits jobs that score names Action::\"score\" in its scope"
                .into()
        }
        true => "no rule of the policy permits it".into(),
        false => spoke.iter().map(reason).collect::<Vec<_>>().join("; "),
    }
}

/// The rules without those that permit whatever the action is: they may have been written when all jobs trained, and their authors did not mean queries of
/// a model. What forbids holds for all actions that its scope leaves open.
fn scoring(set: &PolicySet) -> PolicySet {
    let names = |policy: &cedar_policy::Policy| match policy.action_constraint() {
        ActionConstraint::Any => false,
        ActionConstraint::Eq(action) => action == self::action(SCORE),
        ActionConstraint::In(actions) => actions.contains(&self::action(SCORE)),
    };
    let counts = set.policies().filter(|policy| policy.effect() == Effect::Forbid || names(policy));
    PolicySet::from_policies(counts.cloned()).expect("policies of one set have different names")
}

/// The place of a rule in the text: Cedar calls the rules of a text `policy0`, `policy1` and so on.
fn index(id: &str) -> usize {
    id.strip_prefix("policy").and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}

/// An error of Cedar's with the line it is about: its own, or that of its rule.
fn at(text: &str, error: &dyn Diagnostic, starts: &[usize], id: Option<&str>, remedy: &'static str) -> PolicyError {
    let label = error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    let rule = id.and_then(|id| starts.get(index(id)).copied());
    let names = |problem: String| match id {
        Some(id) => problem.replace(&format!("for policy `{id}`, "), ""),
        None => problem,
    };
    let help = error.help().map(|help| format!(" ({help})")).unwrap_or_default();
    let problem = format!("{}{help}", names(error.to_string()));
    PolicyError::At { line: line(text, label.or(rule).unwrap_or(0)), problem, remedy }
}

fn validate(text: &str, set: &PolicySet, starts: &[usize]) -> Result<(), PolicyError> {
    let result = Validator::new(SCHEMA.clone()).validate(set, ValidationMode::Strict);
    if let Some(error) = result.validation_errors().next() {
        let remedy = "use the facts of docs/POLICY.md, each as its type allows";
        return Err(at(text, error, starts, Some(error.policy_id().as_ref()), remedy));
    }
    match result.validation_warnings().next() {
        Some(warning) => {
            let remedy = "correct the rule, or remove it";
            Err(at(text, warning, starts, Some(warning.policy_id().as_ref()), remedy))
        }
        None => Ok(()),
    }
}

/// The rules, in the order of the text.
fn rules(text: &str, set: &PolicySet, starts: &[usize]) -> Result<Vec<Rule>, PolicyError> {
    let mut found: Vec<(usize, Rule)> = Vec::with_capacity(starts.len());
    for policy in set.policies() {
        let place = index(policy.id().as_ref());
        let line = line(text, starts.get(place).copied().unwrap_or(0));
        found.push((place, rule(policy, line)?));
    }
    found.sort_by_key(|(place, _)| *place);
    let rules: Vec<Rule> = found.into_iter().map(|(_, rule)| rule).collect();
    let mut names = BTreeSet::new();
    match rules.iter().find(|rule| !names.insert(rule.name.as_str())) {
        Some(rule) => Err(PolicyError::At {
            line: rule.line,
            problem: format!("a second rule is named `{}`", rule.name),
            remedy: "give every rule an @id of its own",
        }),
        None => Ok(rules),
    }
}

fn rule(policy: &cedar_policy::Policy, line: usize) -> Result<Rule, PolicyError> {
    let refused = |problem: String, remedy: &'static str| Err(PolicyError::At { line, problem, remedy });
    let permits = policy.effect() == Effect::Permit;
    let (mut name, mut reason, mut approvers) = (String::new(), String::new(), 0);
    for (key, value) in policy.annotations() {
        match key {
            "id" => name = value.into(),
            "reason" => reason = value.into(),
            "approvers" if !permits => {
                return refused("a rule that forbids asks for approvers".into(), "nobody can approve it: remove them");
            }
            "approvers" => match value.parse() {
                Ok(people) if (1..=MAX_APPROVERS).contains(&people) && !value.starts_with('+') => approvers = people,
                _ => {
                    let problem = format!("@approvers is `{}`", value.escape_debug());
                    return refused(problem, "write a number from 1 to 16; leave it out if nobody need approve");
                }
            },
            _ => {
                let remedy = "there are @id, @reason and @approvers";
                return refused(format!("@{key} is no annotation of a policy"), remedy);
            }
        }
    }
    if !is_name(&name) {
        let problem = format!("@id is `{}`", name.escape_debug());
        return refused(problem, "name the rule, with letters, digits, -, _ and .: the audit log has it");
    }
    if reason.len() > MAX_REASON || reason.chars().any(steers) {
        return refused("@reason is too long, or has control characters".into(), "give at most 500 bytes of one line");
    }
    Ok(Rule { name, reason, permits, approvers, line })
}

fn entity(kind: &str, id: &str) -> EntityUid {
    let kind = EntityTypeName::from_str(kind).expect("a name of the schema");
    EntityUid::from_type_name_and_id(kind, EntityId::new(id))
}

fn action(name: &str) -> EntityUid {
    entity("Action", name)
}

fn request(facts: &Facts) -> Result<Request, String> {
    let action = action(if facts.scores() { SCORE } else { "run" });
    let context = Context::from_json_value(facts.context(), Some((&SCHEMA, &action))).map_err(|e| e.to_string())?;
    let (principal, resource) = (entity("Organisation", &facts.submitter), entity("Job", &facts.id));
    Request::new(principal, action, resource, context, Some(&SCHEMA)).map_err(|e| e.to_string())
}
