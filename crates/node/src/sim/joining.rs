//! Words that a person reads out, where an organisation joins several projects at once.

use super::Sim;
use crate::message::Knock;
use crate::store::Invitation;
use serde_json::json;

/// An invitation with which bank-d has come.
fn invitation(project: &str, expires: i64) -> Invitation {
    let knock = Knock {
        id: project.into(),
        organisation: "bank-d".into(),
        operator: "bank-d".into(),
        address: "127.0.0.1:9".into(),
        helper: false,
        commitment: String::new(),
        proof: String::new(),
    };
    Invitation {
        id: project.into(),
        secret: "00".into(),
        project: project.into(),
        organisation: "bank-d".into(),
        helper: false,
        expires,
        state: "joining".into(),
        joiner: json!({ "root": "d".repeat(64), "knock": knock, "ours": "", "knocks": 1 }).to_string(),
        words: format!("words of project {project}"),
    }
}

#[test]
fn words_are_those_of_any_invitation_that_an_organisation_has_come_with() {
    let sim = Sim::new(12, &["bank-a"], &["one".into(), "two".into()], &[]);
    sim.site("bank-a").now(|node| async move {
        let later = crate::node::now() + 3600;
        let is = |project: &'static str, state: &'static str| (project.to_owned(), state.to_owned());
        let states = async || {
            let all = node.store.invitations().await.expect("invitations");
            all.into_iter().map(|i| (i.project, i.state)).collect::<Vec<_>>()
        };
        for (project, expires) in [("one", later), ("two", later + 1)] {
            node.store.put_invitation(&invitation(project, expires)).await.expect("it is kept");
        }
        let wrong = node.confirm("bank-d", "other words").await.expect_err("other words").to_string();
        assert!(wrong.contains("none of the 2 invitations"), "{wrong}");
        assert_eq!(states().await, [is("two", "joining"), is("one", "joining")]);
        node.confirm("bank-d", " Words of  project ONE").await.expect("it is a member");
        assert_eq!(states().await, [is("two", "joining"), is("one", "done")]);
        for (project, members) in [("one", 2), ("two", 1)] {
            assert_eq!(node.project(project).await.expect("a project").members.len(), members);
        }
        let wrong = node.confirm("bank-d", "other words").await.expect_err("other words").to_string();
        assert!(wrong.contains("is void"), "{wrong}");
        assert_eq!(states().await, [is("two", "refused"), is("one", "done")]);
    });
}
