//! Messages of a node: for people at a terminal, else lines of JSON, which name the trace of a job where they name the job.

use std::fmt;
use std::io::IsTerminal;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Begins to write messages, as `PRIVITY_LOG` wants them.
pub fn begin() {
    let filter = EnvFilter::try_from_env("PRIVITY_LOG").unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match std::io::stderr().is_terminal() {
        true => log.init(),
        false => log.fmt_fields(JsonFields::new()).event_format(Traced(Format::default().json())).init(),
    }
}

/// JSON, with `trace_id` where there is a `job`.
struct Traced(Format<Json>);

impl<S, N> FormatEvent<S, N> for Traced
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut job = Job(None);
        event.record(&mut job);
        let Some(trace) = job.0.as_deref().and_then(privity_node::traces::id) else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match line.trim_end().strip_suffix('}') {
            Some(rest) => writeln!(writer, "{rest},\"trace_id\":\"{trace}\"}}"),
            None => writer.write_str(&line),
        }
    }
}

/// The job that a message names.
struct Job(Option<String>);

impl Visit for Job {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "job" {
            self.0 = Some(value.into());
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_names_a_job_names_its_trace() {
        let (written, digest) = (Written::default(), "ab".repeat(32));
        let to = written.clone();
        let log = tracing_subscriber::fmt().with_writer(move || to.clone()).fmt_fields(JsonFields::new());
        let log = log.event_format(Traced(Format::default().json())).finish();
        tracing::subscriber::with_default(log, || {
            tracing::info!(job = digest, number = 1, "begins \"it\"");
            tracing::info!(job = "short", "no digest");
        });
        let text = String::from_utf8(written.0.lock().expect("no panic").clone()).expect("text");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines[0]["fields"]["job"], digest);
        assert_eq!(lines[0]["trace_id"].as_str(), privity_node::traces::id(&digest).as_deref());
        assert!(lines[1]["trace_id"].is_null() && lines.len() == 2, "{text}");
    }
}
