//! Where a job stands, and what may follow.

use serde::{Deserialize, Serialize};

/// Where a job stands at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not all participants have decided.
    Pending,
    /// All have approved; it waits for its first attempt or the next.
    Ready,
    /// An attempt runs.
    Running,
    /// It stopped, with what it kept, and may be attempted again.
    Paused,
    /// It is done.
    Done,
    /// It will not be done.
    Aborted,
    /// A participant denied it.
    Denied,
    /// It was not started, or not done, in its time.
    Expired,
}

impl State {
    /// From which an attempt may begin.
    pub const STARTS: [State; 2] = [State::Ready, State::Paused];
    /// After which something may follow.
    pub const OPEN: [State; 4] = [State::Pending, State::Ready, State::Running, State::Paused];
    /// In which no engine runs and something may follow.
    pub const WAITS: [State; 3] = [State::Pending, State::Ready, State::Paused];
    /// All there are.
    pub const ALL: [State; 8] = [
        State::Pending,
        State::Ready,
        State::Running,
        State::Paused,
        State::Done,
        State::Aborted,
        State::Denied,
        State::Expired,
    ];
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Ready => "ready",
            State::Running => "running",
            State::Paused => "paused",
            State::Done => "done",
            State::Aborted => "aborted",
            State::Denied => "denied",
            State::Expired => "expired",
        }
    }
    /// The state of this name; what is unknown will not be done.
    pub fn parse(name: &str) -> State {
        State::ALL.into_iter().find(|state| state.name() == name).unwrap_or(State::Aborted)
    }
    /// Whether nothing can follow.
    pub fn is_end(self) -> bool {
        matches!(self, State::Done | State::Aborted | State::Denied | State::Expired)
    }
}
