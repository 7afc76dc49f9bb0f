//! Invitations at the inviter, and what other members state of themselves.

use crate::join::{self, Code, SECRET};
use crate::message::{Answer, Joining, Knock, Reveal, words};
use crate::node::{Node, now};
use crate::store::Invitation;
use crate::{NodeError, home};
use privity_api::{Member, Project, Statement, Time};
use serde::{Deserialize, Serialize};

/// How long an invitation lasts.
const LASTS: Time = 3 * 86_400;
/// How often one invitation may be begun.
const KNOCKS: u32 = 5;

/// Who uses an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Joiner {
    root: String,
    knock: Knock,
    ours: String,
    /// How often it came.
    knocks: u32,
}

impl Node {
    /// Invites an organisation to a project that this one founded.
    ///
    /// # Errors
    /// There is no such project, it was founded by another, it has this member already.
    pub async fn invite(&self, project: &str, organisation: &str, helper: bool) -> Result<Code, NodeError> {
        let known = self.project(project).await?;
        if known.founder != self.organisation() {
            return Err(NodeError::State(format!(
                "{} founded project {project}: only its node invites",
                known.founder
            )));
        }
        if !privity_api::is_name(organisation) || known.member(organisation).is_some() {
            return Err(NodeError::State(format!("{organisation:?} is no name, or that of a member")));
        }
        self.is_found().await?;
        let secret = home::random_hex(SECRET)?;
        let invitation = Invitation {
            id: join::id(&secret),
            secret: secret.clone(),
            project: project.into(),
            organisation: organisation.into(),
            helper,
            expires: now() + LASTS,
            state: "open".into(),
            joiner: String::new(),
            words: String::new(),
        };
        self.store.put_invitation(&invitation).await?;
        Ok(Code::new(&self.config.address, &secret, &self.root.fingerprint()))
    }

    async fn invitation(&self, id: &str) -> Result<Invitation, NodeError> {
        let found = self.store.invitation(id, now()).await?;
        found.ok_or_else(|| {
            NodeError::State("there is no such invitation, or its time is over; ask for a new one".into())
        })
    }

    /// Somebody comes with an invitation.
    pub(crate) async fn knock(&self, root: &str, knock: Knock) -> Result<Answer, NodeError> {
        let mut invitation = self.invitation(&knock.id).await?;
        let expected = join::proof(&invitation.secret, root, &self.root.fingerprint(), &knock);
        let proven = blake3::hash(expected.as_bytes()) == blake3::hash(knock.proof.as_bytes());
        if !proven {
            return Err(NodeError::State("there is no such invitation, or its time is over; ask for a new one".into()));
        }
        if knock.organisation != invitation.organisation || knock.helper != invitation.helper {
            let kind = |helper| if helper { "without data" } else { "with data" };
            return Err(NodeError::State(format!(
                "the invitation is for {} {}, and {} comes {}",
                invitation.organisation,
                kind(invitation.helper),
                words(&knock.organisation),
                kind(knock.helper)
            )));
        }
        let before: Option<Joiner> = serde_json::from_str(&invitation.joiner).ok();
        let knocks = match (invitation.state.as_str(), before) {
            ("open", _) => 1,
            // Who was interrupted comes again. Words of few tries only, so that nobody can go on until they are others' words.
            ("joining", Some(before)) if before.root == root && before.knocks < KNOCKS => before.knocks + 1,
            // A member that did not hear that it is one.
            ("done", Some(before)) if before.root == root => return Ok(Answer { nonce: before.ours }),
            _ => {
                let problem = "the invitation is in use; if that is not you, ask for a new one and say so";
                return Err(NodeError::State(problem.into()));
            }
        };
        let ours = home::random_hex(32)?;
        let joiner = Joiner { root: root.into(), knock, ours: ours.clone(), knocks };
        invitation.joiner = serde_json::to_string(&joiner).map_err(|e| NodeError::State(e.to_string()))?;
        (invitation.state, invitation.words) = ("joining".into(), String::new());
        self.store.put_invitation(&invitation).await?;
        Ok(Answer { nonce: ours })
    }

    /// The joiner tells its number: both sides have the words now. Asked again, it says whether a person has confirmed them.
    pub(crate) async fn reveal(&self, root: &str, reveal: &Reveal) -> Result<Joining, NodeError> {
        let mut invitation = self.invitation(&reveal.id).await?;
        let joiner: Joiner = serde_json::from_str(&invitation.joiner)
            .map_err(|_| NodeError::State("nobody came with this invitation yet".into()))?;
        let member = joiner.root == root && invitation.state == "done";
        if joiner.root != root || (!member && join::commitment(&reveal.nonce) != joiner.knock.commitment) {
            return Err(NodeError::State("that is not what was committed to; ask for a new invitation".into()));
        }
        if invitation.words.is_empty() {
            invitation.words = join::words(&self.root.fingerprint(), root, &joiner.ours, &reveal.nonce);
            self.store.put_invitation(&invitation).await?;
        }
        let project = match invitation.state.as_str() {
            "done" => {
                let project = self.project(&invitation.project).await?;
                // It may have been removed since.
                project
                    .by_root(root)
                    .ok_or_else(|| NodeError::Stranger { who: root.into(), project: project.name.clone() })?;
                self.store.statement(&invitation.project).await?.map(|(_, statement)| statement)
            }
            _ => None,
        };
        Ok(Joining { project })
    }

    /// A person says the words that the other organisation's person reads out: if they are the ones seen here, it is a member.
    ///
    /// # Errors
    /// Nobody joins under this name, or other words.
    pub async fn confirm(&self, organisation: &str, words: &str) -> Result<(), NodeError> {
        let all = self.store.invitations().await?;
        let waits = |i: &Invitation| i.organisation == organisation && i.state == "joining" && !i.words.is_empty();
        let mut waiting: Vec<Invitation> = all.into_iter().filter(waits).collect();
        let said = words.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        // It may join several projects at once.
        let Some(at) = waiting.iter().position(|invitation| invitation.words == said) else {
            return Err(NodeError::State(match &mut waiting[..] {
                [] => format!("{organisation} has not come yet: have it run `privity join` with the code"),
                [invitation] => {
                    invitation.state = "refused".into();
                    self.store.put_invitation(invitation).await?;
                    format!(
                        "these are not the words seen here: somebody else may have used the code; the invitation of {organisation} is void, invite it again"
                    )
                }
                several => format!(
                    "these are the words of none of the {} invitations that {organisation} has come with: somebody else may have used a code; have the words read out again",
                    several.len()
                ),
            }));
        };
        let mut invitation = waiting.swap_remove(at);
        let joiner: Joiner = serde_json::from_str(&invitation.joiner).map_err(|e| NodeError::Store(e.to_string()))?;
        let member = Member {
            organisation: organisation.into(),
            operator: joiner.knock.operator,
            root: joiner.root,
            address: joiner.knock.address,
            helper: joiner.knock.helper,
        };
        self.admit(&invitation.project, member).await?;
        invitation.state = "done".into();
        self.store.put_invitation(&invitation).await
    }

    /// The name of the member with this root: it is one and the same in all projects.
    pub(crate) async fn caller(&self, root: &str) -> Result<String, NodeError> {
        for project in self.own_projects().await? {
            if let Some(member) = project.by_root(root) {
                return Ok(member.organisation.clone());
            }
        }
        Err(NodeError::Stranger { who: root.into(), project: "any".into() })
    }

    /// A founder states who the members are.
    pub(crate) async fn receive_project(&self, statement: Statement<Project>) -> Result<(), NodeError> {
        let name = &statement.body.name;
        let (root, _) = self.store.project(name).await?.ok_or_else(|| NodeError::missing("project", &words(name)))?;
        let taken = self.adopt(&root, &statement).await;
        if let Err(error) = &taken {
            tracing::warn!(project = words(name), error = %error, "members as they were sent here are not taken for true");
        }
        // Not what came, which may be older than what is known. Whom it leaves out is none any more, taken or not.
        self.end_jobs_of_strangers(Some(name)).await?;
        taken
    }

    /// The members of a project, for one of them.
    pub(crate) async fn receive_members(&self, root: &str, name: &str) -> Result<Statement<Project>, NodeError> {
        let stranger = || NodeError::Stranger { who: root.into(), project: words(name) };
        let known = self.store.project(name).await?.filter(|(_, known)| known.body.by_root(root).is_some());
        known.ok_or_else(stranger)?;
        self.store.statement(name).await?.map(|(_, statement)| statement).ok_or_else(stranger)
    }
}
