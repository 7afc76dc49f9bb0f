//! What this organisation's policy says to a manifest. Without a policy, people decide: default deny, one person approves.

use crate::NodeError;
use crate::node::Node;
use crate::store::Stored;
use privity_api::Decision;

impl Node {
    /// A decision that needs nobody, with its reason and the rules that made it.
    pub(crate) async fn policy_says(&self, _stored: &Stored) -> Result<Option<(Decision, String, Vec<String>)>, NodeError> {
        Ok(None)
    }
    /// How many persons have to approve.
    pub(crate) async fn approvers(&self, _stored: &Stored) -> Result<usize, NodeError> {
        Ok(1)
    }
}
