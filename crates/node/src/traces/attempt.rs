//! The spans of an attempt at one organisation, as its engine tells them. Of what is opened nothing is in them: no losses, no figures of a model.

use super::{Span, Subject, Traces, figure, span_id, status};
use crate::job::State;
use crate::store::Stored;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Event as Moment, SpanId, Status};
use opentelemetry_sdk::trace::SpanEvents;
use privity_job::{Event, Report};
use std::time::{Duration, SystemTime};

/// Epochs that end within so long of each other share a span.
const TOGETHER: Duration = Duration::from_secs(1);
/// Events that a span may have.
const MOST: usize = 32;

/// An attempt on its way.
pub(crate) struct AttemptTrace {
    traces: Traces,
    subject: Subject,
    number: u32,
    id: SpanId,
    began: SystemTime,
    /// Until when everything is in a span.
    since: SystemTime,
    /// The first epoch that is in no span yet.
    first: usize,
    /// The last that is done, and when it was.
    last: Option<(usize, SystemTime)>,
    connected: bool,
    events: SpanEvents,
    figures: Vec<KeyValue>,
}

impl AttemptTrace {
    /// Begins now.
    pub(crate) fn new(traces: &Traces, stored: &Stored, number: u32) -> AttemptTrace {
        let (subject, now) = (Subject::of(stored), SystemTime::now());
        let id = span_id(&subject.manifest, &[&traces.organisation, &"attempt", &number]);
        AttemptTrace {
            traces: traces.clone(),
            subject,
            number,
            id,
            began: now,
            since: now,
            first: 0,
            last: None,
            connected: false,
            events: SpanEvents::default(),
            figures: vec![figure("privity.attempt", number)],
        }
    }

    /// A part of the attempt, since the one before it.
    fn part(&mut self, name: &'static str, to: SystemTime, mut more: Vec<KeyValue>, status: Status) {
        let number = self.number;
        let id = span_id(&self.subject.manifest, &[&self.traces.organisation, &"attempt", &number, &name, &self.first]);
        more.push(figure("privity.attempt", number));
        let (parent, from, events) = (self.id, self.since, SpanEvents::default());
        self.traces.tell(&self.subject, Span { id, parent, name, from, to, more, events, status });
        self.since = to.max(from);
    }

    fn happened(&mut self, name: &'static str, with: KeyValue) {
        if self.events.events.len() < MOST {
            self.events.events.push(Moment::new(name, SystemTime::now(), vec![with], 0));
        } else {
            self.events.dropped_count += 1;
        }
    }

    /// Something that the engine tells.
    pub(crate) fn heard(&mut self, event: &Event) {
        let now = SystemTime::now();
        match event {
            Event::Connected { .. } => {
                self.connected = true;
                self.part("connect", now, Vec::new(), Status::Unset);
            }
            Event::Resumed { epochs } => {
                self.first = *epochs;
                self.happened("resumed", figure("privity.epochs", *epochs));
            }
            Event::Lost { party, .. } => self.happened("lost", KeyValue::new("privity.party", party.clone())),
            Event::Epoch { epoch, .. } => {
                self.last = Some((*epoch, now));
                if now.duration_since(self.since).is_ok_and(|lasted| lasted >= TOGETHER) {
                    self.epochs();
                }
            }
            Event::Progress { .. } | Event::Ended { .. } | Event::Finished { .. } | Event::Failed { .. } => {}
        }
    }

    /// A span for the epochs that are in none yet.
    fn epochs(&mut self) {
        let Some((last, at)) = self.last.take() else { return };
        let more = vec![figure("privity.epochs.first", self.first), figure("privity.epochs.last", last)];
        self.part("epochs", at, more, Status::Unset);
        self.first = last + 1;
    }

    /// The engine ended: with its report, or with the exit code of what stopped it.
    pub(crate) fn stopped(&mut self, outcome: Result<&Report, u8>, security: Option<String>) {
        self.epochs();
        match outcome {
            Ok(report) => {
                self.part("results", SystemTime::now(), Vec::new(), Status::Unset);
                let bytes: u64 = report.bytes_sent.iter().sum();
                self.figures.extend([
                    figure("privity.rounds", report.rounds),
                    figure("privity.frames", report.frames),
                    figure("privity.bytes_sent", bytes),
                ]);
            }
            Err(code) if !self.connected => {
                self.part("connect", SystemTime::now(), Vec::new(), status(false, code));
            }
            Err(_) => self.since = SystemTime::now(),
        }
        let protocol = outcome.ok().map(|report| report.protocol.clone()).or(security);
        self.figures.extend(protocol.map(|protocol| KeyValue::new("privity.protocol", protocol)));
    }

    /// How it ended for all, once the others were heard.
    pub(crate) fn ended(mut self, state: State, code: u8) {
        let now = SystemTime::now();
        self.part("settle", now, Vec::new(), Status::Unset);
        let status = status(state == State::Done, code);
        self.figures.extend([KeyValue::new("privity.state", state.name()), figure("privity.code", code)]);
        let (id, parent, name, from) = (self.id, self.subject.root(), "attempt", self.began);
        let (more, events) = (self.figures, self.events);
        self.traces.tell(&self.subject, Span { id, parent, name, from, to: now, more, events, status });
    }
}
